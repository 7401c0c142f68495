using System.Net;
using System.Net.Sockets;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;
using Baton.Testing.Processes;

namespace Baton.EndToEnd.Tests;

/// <summary>What <c>baton up</c> promises about its processes.</summary>
public sealed class SupervisionTests(SharedClusters clusters)
{
    private static readonly string[] SmallCluster = ["--prefill-dp", "1", "--decode-dp", "1", .. SharedClusters.WorkerFlags];

    [Theory]
    [InlineData("prefill-0")]
    [InlineData("decode-0")]
    [InlineData("router")]
    public async Task A_killed_process_is_started_again_and_the_cluster_serves_again(string victim)
    {
        await using UpProcess up = await UpProcess.StartReadyAsync(SmallCluster);
        using GenerateClient client = new(up.Url);
        ReferenceAnswer expected = (await clusters.ReferenceAsync())[50];
        int firstId = up.ChildId(victim);

        OsSignal.Send("KILL", firstId);
        await up.WaitForLineAsync(line => line.Contains($"{victim} (pid {firstId}) ended", StringComparison.Ordinal));
        await up.WaitForLineAsync(line => line.Contains($"{victim} (pid", StringComparison.Ordinal) && line.Contains("answers on", StringComparison.Ordinal) && !line.Contains($"(pid {firstId})", StringComparison.Ordinal));
        Generation? answer = await AskUntilAnsweredAsync(client, expected.Request, up);

        Assert.NotEqual(firstId, up.ChildId(victim));
        Assert.Equal(expected.Answer.TokenIds, answer.TokenIds);
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task Being_asked_to_stop_ends_every_process_with_a_line_for_each(string signal)
    {
        await using UpProcess up = await UpProcess.StartReadyAsync(SmallCluster);
        int[] children = [.. up.ChildNames.Select(up.ChildId)];

        OsSignal.Send(signal, up.Id);
        int code = await up.WaitForExitAsync();

        Assert.Equal(0, code);
        Assert.Equal(3, children.Length);
        Assert.All(children, child => Assert.False(OsSignal.IsRunning(child)));
        Assert.All(up.ChildNames, name => Assert.Contains(up.Lines, line => line.Contains($"{name} (pid", StringComparison.Ordinal) && line.Contains("stopped with code 0", StringComparison.Ordinal)));
        Assert.DoesNotContain(up.Lines, line => line.Contains("starting it again", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_cluster_with_a_key_serves_those_who_send_it()
    {
        await using UpProcess up = await UpProcess.StartReadyAsync(["--engine", "simulated", "--prefill-dp", "1", "--decode-dp", "1", "--api-key", "a key"]);
        using HttpClient http = new() { BaseAddress = up.Url, Timeout = UpProcess.Patience };
        using StringContent body = new("""{"text":"hello","sampling_params":{"max_new_tokens":3}}""");

        HttpStatusCode without = (await http.PostAsync("generate", body)).StatusCode;
        HttpStatusCode worker = (await http.PostAsync(new Uri(up.ChildUrl("decode-0"), "generate"), body)).StatusCode;
        http.DefaultRequestHeaders.Authorization = new("Bearer", "a key");
        HttpStatusCode with = (await http.PostAsync("generate", body)).StatusCode;

        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.Unauthorized, HttpStatusCode.OK), (without, worker, with));
    }

    [Fact]
    public async Task A_supervisor_that_is_killed_leaves_no_process_behind()
    {
        await using UpProcess up = await UpProcess.StartReadyAsync(SmallCluster);
        int[] children = [.. up.ChildNames.Select(up.ChildId)];

        OsSignal.Send("KILL", up.Id);
        using CancellationTokenSource deadline = new(UpProcess.Patience);
        while (children.Any(OsSignal.IsRunning)) await Task.Delay(TimeSpan.FromMilliseconds(50), deadline.Token);

        Assert.Equal(3, children.Length);
    }

    [Fact]
    public async Task A_taken_port_is_refused_before_anything_is_started()
    {
        using TcpListener holder = new(IPAddress.Loopback, 0);
        holder.Start();
        int port = ((IPEndPoint)holder.LocalEndpoint).Port;
        await using UpProcess up = UpProcess.StartOn(port, SmallCluster);

        int code = await up.WaitForExitAsync();

        Assert.Equal(3, code);
        string line = Assert.Single(up.Lines);
        Assert.StartsWith($"Port {port} on 127.0.0.1 cannot be used", line, StringComparison.Ordinal);
        Assert.EndsWith("choose another port with --port.", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flag_that_the_workers_refuse_ends_the_start_at_once()
    {
        await using UpProcess up = UpProcess.Start("--simulated-cost", "nonsense=1");

        int code = await up.WaitForExitAsync();

        Assert.Equal(1, code);
        Assert.Contains(up.Lines, line => line.Contains("nonsense", StringComparison.Ordinal));
        Assert.DoesNotContain(up.Lines, line => line.Contains("starting it again", StringComparison.Ordinal));
    }

    private static async Task<Generation> AskUntilAnsweredAsync(GenerateClient client, GenerateRequest request, UpProcess up)
    {
        using CancellationTokenSource deadline = new(UpProcess.Patience);
        string last = "nothing";
        while (!deadline.IsCancellationRequested)
        {
            try
            {
                return await client.GenerateAsync(request, deadline.Token);
            }
            catch (Exception e) when (e is HttpRequestException or Xunit.Sdk.XunitException)
            {
                last = e.Message;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None);
        }
        throw new TimeoutException($"No answer within {UpProcess.Patience.TotalSeconds:0} s; the last one was: {last}\n{up.Transcript()}");
    }
}
