using System.Net;
using System.Net.Sockets;
using Baton.Bench.Conformance;

namespace Baton.Bench.Tests.Conformance;

public sealed class ScriptedWorkerTests
{
    [Fact]
    public async Task A_worker_that_ends_while_connections_arrive_ends_in_order()
    {
        for (int round = 0; round < 100; round++)
        {
            await using ScriptedWorker worker = new(ConformanceStage.Ok);
            Socket[] arriving = [.. Enumerable.Range(0, 8).Select(_ => new Socket(SocketType.Stream, ProtocolType.Tcp))];
            await Task.WhenAll(arriving.Select(s => s.ConnectAsync(IPAddress.Loopback, worker.Port)));
            worker.ResetAll();

            foreach (Socket socket in arriving) socket.Dispose();
        }
    }

    [Fact]
    public async Task A_worker_ends_although_an_answer_of_it_waits_for_what_never_comes()
    {
        TimeSpan patience = TimeSpan.FromSeconds(30);
        TaskCompletionSource came = new(TaskCreationOptions.RunContinuationsAsynchronously), never = new();
        ScriptedWorker worker = new(_ =>
        {
            came.SetResult();
            return never.Task;
        });
        using HttpClient client = new();
        Task<HttpResponseMessage> asked = client.GetAsync(new Uri($"{worker.Url}/generate"));
        await came.Task.WaitAsync(patience);

        await worker.DisposeAsync().AsTask().WaitAsync(patience);

        await Assert.ThrowsAsync<HttpRequestException>(() => asked);
    }
}
