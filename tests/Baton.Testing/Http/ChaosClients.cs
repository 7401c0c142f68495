using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;

namespace Baton.Testing.Http;

/// <summary>Clients that ask a router over and over, in every shape, leave at random, and judge every answer.</summary>
public sealed class ChaosClients(Uri router, int clients, int seed)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly string[] Bodies =
    [
        """{"text":"hello"}""",
        """{"text":"hello","stream":true}""",
        """{"text":["a","b","c"]}""",
        """{"text":"hello","return_logprob":true}""",
        """{"text":"hello","return_logprob":true,"stream":true}""",
        """{"text":"hello","sampling_params":{"n":3}}""",
        """{"text":"hello","stream":true,"sampling_params":{"n":2}}""",
        """{"text":"hello","rid":"mine"}""",
        """{"text":[]}""",
        """not json""",
    ];

    /// <summary>How requests ended, by name.</summary>
    public ConcurrentDictionary<string, int> Ends { get; } = new();

    /// <summary>What must not happen: requests without an end, answers of no known shape.</summary>
    public ConcurrentQueue<string> Violations { get; } = new();

    /// <summary>Asks until <paramref name="ct"/> is cancelled, then ends every request that is under way in order.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        using HttpClient http = new(new SocketsHttpHandler { MaxConnectionsPerServer = clients * 2 }) { BaseAddress = router, Timeout = Timeout.InfiniteTimeSpan };
        await Task.WhenAll(Enumerable.Range(0, clients).Select(async i =>
        {
            Random random = new(seed + i);
            while (!ct.IsCancellationRequested) await AskAsync(http, random);
        }));
    }

    private async Task AskAsync(HttpClient http, Random random)
    {
        string body = Bodies[random.Next(Bodies.Length)];
        using CancellationTokenSource leave = new();
        bool leaves = random.Next(10) == 0;
        if (leaves) leave.CancelAfter(random.Next(1, 60));
        else leave.CancelAfter(Patience);
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Post, "/generate") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            using HttpResponseMessage answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, leave.Token);
            Judge(body, (int)answer.StatusCode, await answer.Content.ReadAsStringAsync(leave.Token));
        }
        catch (OperationCanceledException) when (leaves)
        {
            Count("left");
        }
        catch (OperationCanceledException)
        {
            Violations.Enqueue($"no end within {Patience.TotalSeconds} s: {body}");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            Violations.Enqueue($"the router broke the connection: {e.GetBaseException().Message}: {body}");
        }
    }

    private void Judge(string body, int status, string text)
    {
        if (status == 200)
        {
            bool streamed = text.StartsWith("data:", StringComparison.Ordinal);
            if (streamed && text.Contains("\ndata: {\"error\"", StringComparison.Ordinal) && !text.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal))
                Violations.Enqueue($"an error event without an end: {text}");
            Count(streamed ? text.EndsWith("data: [DONE]\n\n", StringComparison.Ordinal) ? "streamed" : "truncated" : "ok");
            return;
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            Count($"{status} {document.RootElement.GetProperty("error").GetProperty("code").GetString()}");
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            Violations.Enqueue($"an error of another shape ({status}): {text}: {body}");
        }
    }

    private void Count(string end) => Ends.AddOrUpdate(end, 1, (_, n) => n + 1);
}
