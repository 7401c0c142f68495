using System.Net;
using System.Net.Sockets;
using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Legs;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Legs;

public sealed class LegStreamTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly Socket _listener = new(SocketType.Stream, ProtocolType.Tcp);

    public LegStreamTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(8);
    }

    private int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public void Dispose() => _listener.Dispose();

    [Theory]
    [InlineData("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n{\"text\":", "\"a\"}", true)]
    [InlineData("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", "{\"text\":\"a\"}", false)]
    [InlineData("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n{\"text\":\"a\"}", "", false)]
    public async Task The_beginning_of_a_body_waits_for_the_rest_and_nothing_else_waits(string first, string rest, bool waits)
    {
        (LegStream stream, Socket worker) = await ConnectAsync();
        using (worker)
        await using (stream)
        {
            byte[] firstBytes = Encoding.ASCII.GetBytes(first);
            await stream.WriteAsync(firstBytes);
            // What the client reuses its buffer for must not reach the worker.
            Array.Clear(firstBytes);
            int early = worker.Available;
            if (!waits) Assert.Equal(first, await ReadAsync(worker, first.Length));
            if (rest.Length > 0) await stream.WriteAsync(Encoding.ASCII.GetBytes(rest));
            string arrived = await ReadAsync(worker, (waits ? first.Length : 0) + rest.Length);

            if (waits) Assert.Equal(0, early);
            Assert.Equal((waits ? first : "") + rest, arrived);
        }
    }

    [Fact]
    public async Task A_second_request_on_the_connection_waits_and_arrives_as_the_first()
    {
        (LegStream stream, Socket worker) = await ConnectAsync();
        using (worker)
        await using (stream)
        {
            for (int i = 0; i < 2; i++)
            {
                await stream.WriteAsync("POST /\r\nContent-Length: 4\r\n\r\nab"u8.ToArray());
                int early = worker.Available;
                await stream.WriteAsync("cd"u8.ToArray());

                Assert.Equal(0, early);
                Assert.Equal("POST /\r\nContent-Length: 4\r\n\r\nabcd", await ReadAsync(worker, 33));
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_connection_that_ends_between_its_being_picked_up_and_the_request_is_stale(bool isReset)
    {
        (LegStream stream, Socket worker) = await ConnectAsync();
        byte[] request = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"u8.ToArray();
        await using (stream)
        {
            await stream.WriteAsync(request);
            await ReadAsync(worker, request.Length);
            await worker.SendAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray());
            Assert.True(await stream.ReadAsync(new byte[64]) > 0);
            // The HTTP client reads ahead while a connection lies idle; that is no request's end.
            Task<int> ahead = stream.ReadAsync(new byte[64]).AsTask();
            if (isReset) worker.LingerState = new LingerOption(true, 0);
            worker.Close();
            if (isReset) Assert.IsNotType<StaleConnectionException>(await Assert.ThrowsAnyAsync<IOException>(() => ahead.WaitAsync(Patience)));
            else Assert.Equal(0, await ahead.WaitAsync(Patience));

            await Assert.ThrowsAsync<StaleConnectionException>(() => stream.WriteAsync(request).AsTask());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_that_ends_under_a_body_is_stale_unless_its_worker_answered_before_it_had_all(bool answers)
    {
        (LegStream stream, Socket worker) = await ConnectAsync();
        byte[] answer = "HTTP/1.1 413 Too large\r\n"u8.ToArray();
        await using (stream)
        {
            await stream.WriteAsync("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"u8.ToArray());
            await worker.SendAsync(answer);
            Assert.True(await stream.ReadAsync(new byte[64]) > 0);

            // More than the sockets hold, so it is still being written when the answer comes and when the connection ends.
            await stream.WriteAsync("POST / HTTP/1.1\r\nContent-Length: 67108864\r\n\r\n1"u8.ToArray());
            Task writing = stream.WriteAsync(new byte[67108863]).AsTask();
            if (answers)
            {
                await worker.SendAsync(answer);
                Assert.True(await stream.ReadAsync(new byte[64]) > 0);
            }
            worker.Close();

            Assert.Equal(!answers, await Assert.ThrowsAnyAsync<IOException>(() => writing.WaitAsync(Patience)) is StaleConnectionException);
        }
    }

    [Fact]
    public async Task Bodies_of_every_length_around_the_http_clients_buffer_arrive_whole_over_one_connection()
    {
        using HttpLegTransport transport = new(TimeSpan.FromSeconds(10), TimeProvider.System);
        int[] lengths = [.. Enumerable.Range(0, 160).Select(i => 3600 + i * 4), 8192, 40_000, 300_000];
        Task<List<string>> received = ServeAsync(lengths.Length);
        foreach (int length in lengths)
        {
            await using ILegResponse response = await transport.SendAsync(Leg(length), CancellationToken.None).WaitAsync(Patience);
            while (await response.ReadAsync(new byte[64], CancellationToken.None) > 0) { }
        }

        Assert.Equal([.. lengths.Select(Text)], (await received.WaitAsync(Patience)).Select(body => body[9..^2]));
    }

    [Fact]
    public async Task A_cancelled_leg_ends_although_its_worker_reads_nothing()
    {
        using HttpLegTransport transport = new(TimeSpan.FromSeconds(10), TimeProvider.System);
        using CancellationTokenSource cancel = new();
        Task<ILegResponse> sending = transport.SendAsync(Leg(64 << 20), cancel.Token);
        using Socket worker = await _listener.AcceptAsync();
        // Its first byte is there, so the rest is being written, into a window that never opens.
        await worker.ReceiveAsync(new byte[1], SocketFlags.Peek).WaitAsync(Patience);
        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending.WaitAsync(Patience));
    }

    private static string Text(int length) => new('x', length);

    private LegRequest Leg(int length)
    {
        Worker worker = new("w1", new WorkerSpec { Url = new Uri($"http://127.0.0.1:{Port}"), Role = WorkerRole.Decode });
        ClientBody body = ClientBodyReader.Read(Encoding.UTF8.GetBytes($$"""{"text":"{{Text(length)}}"}"""), DataEndpoint.Generate);
        return new LegRequest(worker, worker.Target(DataEndpoint.Generate), LegBody.Write(body, null, null, null, null), [new("x-request-id", "r")]);
    }

    private async Task<(LegStream, Socket)> ConnectAsync()
    {
        Socket client = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await client.ConnectAsync(_listener.LocalEndPoint!);
        return (new LegStream(new NetworkStream(client, ownsSocket: true)), await _listener.AcceptAsync());
    }

    private static async Task<string> ReadAsync(Socket socket, int length)
    {
        byte[] bytes = new byte[length];
        int read = 0;
        while (read < length && await socket.ReceiveAsync(bytes.AsMemory(read)).AsTask().WaitAsync(Patience) is var more and > 0) read += more;
        return Encoding.ASCII.GetString(bytes, 0, read);
    }

    /// <summary>Answers so many requests on the first connection that comes, and returns their bodies.</summary>
    private async Task<List<string>> ServeAsync(int count)
    {
        List<string> bodies = [];
        using Socket socket = await _listener.AcceptAsync();
        await using NetworkStream stream = new(socket);
        using StreamReader reader = new(stream, Encoding.ASCII);
        while (bodies.Count < count)
        {
            int length = 0;
            while (await reader.ReadLineAsync() is { Length: > 0 } line)
                if (line.StartsWith("Content-Length: ", StringComparison.Ordinal)) length = int.Parse(line[16..]);
            char[] body = new char[length];
            await reader.ReadBlockAsync(body);
            bodies.Add(new string(body));
            await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"u8.ToArray());
        }
        return bodies;
    }
}
