using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Baton.Benchmarks;

/// <summary>Requests per second and latency of one kind of request over some keep-alive connections.</summary>
internal sealed record LoadFigures(double RequestsPerSecond, double P50Microseconds, double P99Microseconds)
{
    public static LoadFigures Of(List<long> ticks, TimeSpan wall)
    {
        ticks.Sort();
        return new LoadFigures(Math.Round(ticks.Count / wall.TotalSeconds), Percentile(ticks, 0.50), Percentile(ticks, 0.99));
    }

    public static double Percentile(List<long> sortedTicks, double p) =>
        Math.Round(sortedTicks[(int)Math.Min(sortedTicks.Count - 1, p * sortedTicks.Count)] * 1e6 / Stopwatch.Frequency, 1);
}

/// <summary>Prepared requests over blocking sockets: as little client as possible, since client and server share the cores.</summary>
internal static class BootstrapLoad
{
    /// <summary>Sends prepared requests in turn, one at a time on each connection, for a bounded time. One thread drives up to eight connections.</summary>
    public static LoadFigures Run(int port, int connections, byte[][] requests, TimeSpan duration)
    {
        const int PerThread = 8;
        int threadCount = (connections + PerThread - 1) / PerThread;
        List<long>[] perThread = new List<long>[threadCount];
        using CountdownEvent ready = new(threadCount);
        using ManualResetEventSlim go = new();
        Thread[] threads = new Thread[threadCount];
        for (int t = 0; t < threadCount; t++)
        {
            int mine = t;
            threads[t] = new Thread(() =>
            {
                Connection[] held = [.. Enumerable.Range(0, Math.Min(PerThread, connections - (mine * PerThread))).Select(_ => new Connection(port))];
                foreach (Connection connection in held) connection.Exchange(requests[mine]);
                ready.Signal();
                go.Wait();
                perThread[mine] = Measure(held, requests, mine * 100, duration);
                foreach (Connection connection in held) connection.Dispose();
            });
            threads[t].Start();
        }
        ready.Wait();
        long started = Stopwatch.GetTimestamp();
        go.Set();
        foreach (Thread thread in threads) thread.Join();
        return LoadFigures.Of([.. perThread.SelectMany(t => t)], Stopwatch.GetElapsedTime(started));
    }

    private static List<long> Measure(Connection[] connections, byte[][] requests, int first, TimeSpan duration)
    {
        List<long> ticks = new(200_000);
        long[] sentAt = new long[connections.Length];
        long end = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        int next = first;
        while (Stopwatch.GetTimestamp() < end)
        {
            for (int c = 0; c < connections.Length; c++)
            {
                sentAt[c] = Stopwatch.GetTimestamp();
                connections[c].Send(requests[next++ % requests.Length]);
            }
            for (int c = 0; c < connections.Length; c++)
            {
                connections[c].Receive();
                ticks.Add(Stopwatch.GetTimestamp() - sentAt[c]);
            }
        }
        return ticks;
    }

    public static byte[] Post(string path, string json) => Encoding.ASCII.GetBytes(
        $"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: python-requests/2.32.3\r\nAccept: */*\r\nConnection: keep-alive\r\n"
        + $"Content-Length: {json.Length}\r\nContent-Type: application/json\r\n\r\n{json}");

    /// <summary>One keep-alive connection. An answer that is not 200 ends the measurement.</summary>
    internal sealed class Connection : IDisposable
    {
        private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 10_000 };
        private readonly byte[] _buffer = new byte[64 * 1024];

        public Connection(int port) => _socket.Connect("127.0.0.1", port);

        /// <summary>Sends one request and reads its whole answer.</summary>
        public ReadOnlySpan<byte> Exchange(byte[] request)
        {
            Send(request);
            return Receive();
        }

        public void Send(byte[] request) => _socket.Send(request);

        public ReadOnlySpan<byte> Receive()
        {
            int filled = 0;
            while (true)
            {
                int read = _socket.Receive(_buffer.AsSpan(filled));
                if (read == 0) throw new IOException("the server closed the connection");
                filled += read;
                ReadOnlySpan<byte> got = _buffer.AsSpan(0, filled);
                int headEnd = got.IndexOf("\r\n\r\n"u8);
                if (headEnd < 0) continue;
                if (!got.StartsWith("HTTP/1.1 200"u8)) throw new IOException(Encoding.ASCII.GetString(got));
                if (filled == headEnd + 4 + ContentLength(got[..headEnd])) return got[(headEnd + 4)..];
            }
        }

        public void Dispose() => _socket.Dispose();

        private static int ContentLength(ReadOnlySpan<byte> head)
        {
            ReadOnlySpan<byte> name = "Content-Length: "u8;
            int at = head.IndexOf(name);
            int length = 0;
            foreach (byte digit in head[(at + name.Length)..])
            {
                if (digit is < (byte)'0' or > (byte)'9') break;
                length = (length * 10) + digit - '0';
            }
            return length;
        }
    }
}
