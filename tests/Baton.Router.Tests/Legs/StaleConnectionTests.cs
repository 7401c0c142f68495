using System.Net;
using System.Net.Sockets;
using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Legs;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Legs;

/// <summary>A worker that closes a kept connection under a request: whether the request may go out once more.</summary>
public sealed class StaleConnectionTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly HttpLegTransport _transport;
    private int _replays;

    public StaleConnectionTests()
    {
        _listener.Start();
        _transport = new HttpLegTransport(TimeSpan.FromSeconds(10), TimeProvider.System, () => _replays++);
    }

    public void Dispose()
    {
        _transport.Dispose();
        _listener.Dispose();
    }

    [Theory]
    [InlineData(10)]
    // Its body does not fit the HTTP client's first piece.
    [InlineData(40_000)]
    public async Task A_request_that_met_a_closing_connection_goes_out_once_more_on_another(int length)
    {
        Task<Socket> first = AcceptAndServeAsync(1);
        Assert.Equal(200, await StatusAsync(length));
        using Socket kept = await first;

        Task<int> asking = StatusAsync(length);
        await CloseUnderRequestAsync(kept);
        using Socket second = await AcceptAndServeAsync(1);

        Assert.Equal(200, await asking);
        Assert.Equal(1, _replays);
    }

    [Fact]
    public async Task It_goes_out_once_more_and_not_twice()
    {
        // Two at once, so that two connections are kept.
        Task<int>[] both = [StatusAsync(10), StatusAsync(10)];
        using Socket one = await AcceptAndServeAsync(0), two = await AcceptAndServeAsync(0);
        await ServeAsync(one, 1);
        await ServeAsync(two, 1);
        Assert.All(await Task.WhenAll(both).WaitAsync(Patience), status => Assert.Equal(200, status));

        Task<int> asking = StatusAsync(10);
        // Whichever of them it takes first.
        await Task.WhenAll(CloseUnderRequestAsync(one), CloseUnderRequestAsync(two));

        await Assert.ThrowsAsync<LegException>(() => asking);
        Assert.Equal(1, _replays);
    }

    [Fact]
    public async Task A_connection_that_never_served_was_not_idle()
    {
        Task<int> asking = StatusAsync(10);
        await CloseUnderRequestAsync(await _listener.AcceptSocketAsync().WaitAsync(Patience));

        await Assert.ThrowsAsync<LegException>(() => asking);
        Assert.Equal(0, _replays);
    }

    [Fact]
    public async Task A_request_whose_answer_began_is_not_sent_again()
    {
        Task<Socket> first = AcceptAndServeAsync(1);
        await StatusAsync(10);
        using Socket kept = await first;

        Task<int> asking = StatusAsync(10);
        await ReadRequestAsync(kept);
        await kept.SendAsync("HTTP/1.1 2"u8.ToArray());
        kept.Close();

        await Assert.ThrowsAsync<LegException>(() => asking);
        Assert.Equal(0, _replays);
    }

    private async Task<int> StatusAsync(int length)
    {
        Worker worker = new("w1", new WorkerSpec { Url = new Uri($"http://{_listener.LocalEndpoint}"), Role = WorkerRole.Decode });
        ClientBody body = ClientBodyReader.Read(Encoding.UTF8.GetBytes($$"""{"text":"{{new string('x', length)}}"}"""), DataEndpoint.Generate);
        LegRequest leg = new(worker, worker.Target(DataEndpoint.Generate), LegBody.Write(body, null, null, null, null), [new("x-request-id", "r")]);
        await using ILegResponse response = await _transport.SendAsync(leg, TestContext.Current.CancellationToken).WaitAsync(Patience);
        while (await response.ReadAsync(new byte[64], TestContext.Current.CancellationToken) > 0) { }
        return response.StatusCode;
    }

    private async Task<Socket> AcceptAndServeAsync(int requests)
    {
        Socket socket = await _listener.AcceptSocketAsync().WaitAsync(Patience);
        await ServeAsync(socket, requests);
        return socket;
    }

    private static async Task ServeAsync(Socket socket, int requests)
    {
        for (int i = 0; i < requests; i++)
        {
            await ReadRequestAsync(socket);
            await socket.SendAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray());
        }
    }

    private static async Task CloseUnderRequestAsync(Socket socket)
    {
        await ReadRequestAsync(socket);
        socket.Close();
    }

    private static async Task ReadRequestAsync(Socket socket)
    {
        List<byte> bytes = [];
        byte[] buffer = new byte[64 * 1024];
        while (Left(Encoding.ASCII.GetString([.. bytes])) > 0)
        {
            int read = await socket.ReceiveAsync(buffer).WaitAsync(Patience);
            if (read == 0) return;
            bytes.AddRange(buffer[..read]);
        }

        static int Left(string request)
        {
            int head = request.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (head < 0) return 1;
            const string name = "Content-Length: ";
            int at = request.IndexOf(name, StringComparison.Ordinal) + name.Length;
            return head + 4 + int.Parse(request[at..request.IndexOf('\r', at)]) - request.Length;
        }
    }
}
