using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.Transfer;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;
using Baton.Transfer.Sending;
using Baton.Transfer.Tcp;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Benchmarks;

/// <summary>The KV hand-over over loopback TCP beside one raw TCP stream that moves the same bytes between the same kinds of buffers.</summary>
/// <remarks>Rounds alternate, so that both see the same machine. The rank threads are one thread here; engines are absent.</remarks>
public static class TransferBenchmark
{
    private const int ChunkTokens = 256;
    private const int LargeBytesPerToken = 12 * 1024;
    private const int SmallBytesPerToken = 2 * 1024;
    private const int ChunksPerRound = 256; // one prompt of 65,536 tokens
    private static readonly FirstToken First = new(new OutputToken(1, 0, null), IsEndOfGeneration: false, Seed: 1, CachedTokens: 0);

    public static async Task<int> RunAsync(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0]) : 9;
        List<double> handover = [], raw = [], ratios = [], costs = [];
        double bytesPerChunk = 0;
        for (int round = -1; round < rounds; round++) // the first warms up
        {
            (double rawNow, double rawCpu) = await RawThroughputAsync();
            (double handoverNow, double handoverCpu, bytesPerChunk) = await HandoverThroughputAsync();
            double cost = handoverCpu / rawCpu;
            if (round < 0) continue;
            raw.Add(rawNow);
            handover.Add(handoverNow);
            ratios.Add(handoverNow / rawNow);
            costs.Add(cost);
            Console.WriteLine($"round {round}: hand-over {handoverNow:0.00} GB/s, raw TCP {rawNow:0.00} GB/s, ratio {handoverNow / rawNow:0.00}, CPU time {cost:0.00}x ({rawCpu:0.00} s raw)");
        }
        double[] latency = await HandoverLatencyAsync(2000), rawLatency = await RawLatencyAsync(2000);
        object figures = new
        {
            large_chunk_bytes = ChunkTokens * LargeBytesPerToken,
            handover_gb_per_s_median = Median(handover),
            raw_tcp_gb_per_s_median = Median(raw),
            ratio_median = Median(ratios),
            ratio_min = ratios.Min(),
            ratio_max = ratios.Max(),
            cpu_time_ratio_median = Median(costs),
            allocated_bytes_per_chunk = bytesPerChunk,
            small_room_bytes = ChunkTokens * SmallBytesPerToken,
            small_room_us_p50 = Quantile(latency, 0.5),
            small_room_us_p99 = Quantile(latency, 0.99),
            raw_round_trip_us_p50 = Quantile(rawLatency, 0.5),
            raw_round_trip_us_p99 = Quantile(rawLatency, 0.99),
        };
        Console.WriteLine($"median ratio {Median(ratios):0.00} (bar 0.70); CPU time {Median(costs):0.00}x the raw stream's; {bytesPerChunk:0} bytes allocated a chunk; room of 512 KB, claim to ack: p50 {Quantile(latency, 0.5):0} us, p99 {Quantile(latency, 0.99):0} us"
            + $" (raw: {Quantile(rawLatency, 0.5):0}, {Quantile(rawLatency, 0.99):0})");
        ResultFile.Write("transfer", "dotnet run -c Release --project bench/Baton.Benchmarks -- transfer", figures);
        return 0;
    }

    /// <summary>Of this process on all cores: what a byte costs, whoever else is using the machine.</summary>
    private static double CpuSeconds => Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;

    private static async Task<(double GbPerSecond, double CpuSeconds, double AllocatedPerChunk)> HandoverThroughputAsync()
    {
        await using Pair pair = new(LargeBytesPerToken);
        pair.HandOver(new BootstrapRoom(1), chunks: 32); // links up, pool filled
        double cpuBefore = CpuSeconds;
        long allocatedBefore = GC.GetTotalAllocatedBytes(precise: true), began = Stopwatch.GetTimestamp();
        pair.HandOver(new BootstrapRoom(2), ChunksPerRound);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds, cpu = CpuSeconds - cpuBefore;
        double allocated = (double)(GC.GetTotalAllocatedBytes(precise: true) - allocatedBefore) / ChunksPerRound;
        return ((double)ChunksPerRound * ChunkTokens * LargeBytesPerToken / seconds / 1e9, cpu, allocated);
    }

    private static async Task<double[]> HandoverLatencyAsync(int rooms)
    {
        await using Pair pair = new(SmallBytesPerToken);
        double[] micros = new double[rooms];
        for (int i = -200; i < rooms; i++)
        {
            long began = Stopwatch.GetTimestamp();
            pair.HandOver(new BootstrapRoom((ulong)(i + 201)), chunks: 1);
            if (i >= 0) micros[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
        }
        return micros;
    }

    private static async Task<(double GbPerSecond, double CpuSeconds)> RawThroughputAsync()
    {
        (Socket from, Socket to) = await ConnectRawAsync();
        using (from)
        using (to)
        {
            KvBuffer[] sources = RentMany(), targets = RentMany();
            double cpuBefore = CpuSeconds;
            long began = Stopwatch.GetTimestamp();
            Task sending = Task.Run(async () =>
            {
                for (int i = 0; i < ChunksPerRound; i++) await SendAllAsync(from, sources[i % sources.Length].Memory);
            });
            for (int i = 0; i < ChunksPerRound; i++) await ReceiveAllAsync(to, targets[i % targets.Length].Memory);
            await sending;
            double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds, cpu = CpuSeconds - cpuBefore;
            foreach (KvBuffer buffer in sources.Concat(targets)) buffer.Dispose();
            return ((double)ChunksPerRound * ChunkTokens * LargeBytesPerToken / seconds / 1e9, cpu);
        }
    }

    private static async Task<double[]> RawLatencyAsync(int rounds)
    {
        (Socket prefill, Socket decode) = await ConnectRawAsync();
        using (prefill)
        using (decode)
        {
            byte[] claim = new byte[36], ack = new byte[32], cells = new byte[ChunkTokens * SmallBytesPerToken], into = new byte[cells.Length];
            Task answering = Task.Run(async () =>
            {
                byte[] got = new byte[36];
                for (int i = 0; i < rounds + 200; i++)
                {
                    await ReceiveAllAsync(prefill, got);
                    await SendAllAsync(prefill, cells);
                    await ReceiveAllAsync(prefill, got.AsMemory(0, 32));
                    await SendAllAsync(prefill, got.AsMemory(0, 1));
                }
            });
            double[] micros = new double[rounds];
            for (int i = -200; i < rounds; i++)
            {
                long began = Stopwatch.GetTimestamp();
                await SendAllAsync(decode, claim);
                await ReceiveAllAsync(decode, into);
                await SendAllAsync(decode, ack);
                await ReceiveAllAsync(decode, ack.AsMemory(0, 1));
                if (i >= 0) micros[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            }
            await answering;
            return micros;
        }
    }

    private static KvBuffer[] RentMany() => Enumerable.Range(0, 8).Select(_ =>
    {
        KvBuffer buffer = KvBuffer.Rent(ChunkTokens * LargeBytesPerToken);
        buffer.Span.Clear();
        return buffer;
    }).ToArray();

    private static async Task<(Socket, Socket)> ConnectRawAsync()
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        Socket from = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Task connecting = from.ConnectAsync(listener.LocalEndPoint!);
        Socket to = await listener.AcceptAsync();
        to.NoDelay = true;
        await connecting;
        return (from, to);
    }

    private static async Task SendAllAsync(Socket socket, ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty) bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None)..];
    }

    private static async Task ReceiveAllAsync(Socket socket, Memory<byte> into)
    {
        while (!into.IsEmpty) into = into[await socket.ReceiveAsync(into, SocketFlags.None)..];
    }

    private static double Median(IEnumerable<double> values) => Quantile([.. values], 0.5);

    private static double Quantile(double[] values, double q)
    {
        double[] sorted = [.. values.Order()];
        return sorted[Math.Min(sorted.Length - 1, (int)(q * sorted.Length))];
    }

    /// <summary>A prefill rank and a decode rank, both turned by the caller's thread, over loopback.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        private readonly AutoResetEvent _woken = new(false);
        private readonly TransferOptions _options = new() { ClusterSecret = "a secret of the benchmark", MaxChunkTokens = ChunkTokens };
        private readonly List<KvSenderEvent> _sent = [];
        private readonly List<KvReceiverEvent> _received = [];
        private readonly KvLayout _layout;
        private readonly KvSender _sender;
        private readonly KvReceiver _receiver;
        private readonly TcpKvListener _listener;
        private readonly TcpKvConnector _connector;

        public Pair(int bytesPerToken)
        {
            _layout = new KvLayout([.. Enumerable.Repeat(bytesPerToken / 24, 12)], [.. Enumerable.Repeat(bytesPerToken / 24, 12)], 1, 1);
            KvIdentity prefill = Identity(WorkerRole.Prefill), decode = Identity(WorkerRole.Decode);
            KvInbox prefillInbox = new(_options.MaxQueuedFrames, () => _woken.Set()), decodeInbox = new(_options.MaxQueuedFrames, () => _woken.Set());
            _sender = new KvSender(prefillInbox, prefill, _options, _ => null, NullLogger.Instance);
            _listener = new TcpKvListener(prefillInbox, prefill, _options, TimeProvider.System, NullLogger.Instance);
            _connector = new TcpKvConnector(decode, _options, TimeProvider.System, NullLogger.Instance);
            _receiver = new KvReceiver(decodeInbox, _connector, decode, NullLogger.Instance);
            _listener.Start();
        }

        /// <summary>Opens, claims, sends as the window allows, returns each buffer as it comes, acknowledges, and waits until prefill knows.</summary>
        public void HandOver(BootstrapRoom room, int chunks)
        {
            int payloadBytes = (int)_layout.PayloadBytes(ChunkTokens), sent = 0;
            bool isClaimed = false, isDone = false;
            _sender.Open(room, chunks * ChunkTokens);
            _receiver.Claim(room, new KvEndpoint("127.0.0.1", _listener.Port, DpRank.Zero), chunks * ChunkTokens);
            while (!isDone)
            {
                _sent.Clear();
                _sender.Poll(TimeSpan.Zero, _sent);
                foreach (KvSenderEvent happened in _sent)
                {
                    if (happened.Kind == KvSenderEventKind.Failed) throw new InvalidOperationException(happened.Failure!.Message);
                    isClaimed |= happened.Kind == KvSenderEventKind.Claimed;
                    isDone |= happened.Kind == KvSenderEventKind.Delivered;
                }
                while (isClaimed && sent < chunks && _sender.CanSend(room, payloadBytes))
                {
                    _sender.SendChunk(room, new KvRange(sent * ChunkTokens, (sent + 1) * ChunkTokens), KvBuffer.Rent(payloadBytes));
                    if (++sent == chunks) _sender.SendLast(room, First);
                }
                _received.Clear();
                _receiver.Poll(TimeSpan.Zero, _received);
                foreach (KvReceiverEvent happened in _received)
                {
                    if (happened.Kind == KvReceiverEventKind.Failed) throw new InvalidOperationException(happened.Failure!.Message);
                    happened.Payload?.Dispose();
                    if (happened.Kind == KvReceiverEventKind.Last) _receiver.Acknowledge(room);
                }
                if (!isDone && !_woken.WaitOne(TimeSpan.FromSeconds(30))) throw new TimeoutException($"{room} made no progress in 30 s.");
            }
        }

        public async ValueTask DisposeAsync()
        {
            _sender.Dispose();
            _receiver.Dispose();
            await _listener.DisposeAsync();
            await _connector.DisposeAsync();
            _woken.Dispose();
        }

        private KvIdentity Identity(WorkerRole role) => new()
        {
            Role = role,
            Rank = DpRank.Zero,
            InstanceId = "bench",
            ModelFingerprint = "bench",
            EngineOptions = "bench",
            Layout = _layout,
            MaxChunkTokens = ChunkTokens,
            WindowBytes = _options.WindowBytes,
        };
    }
}
