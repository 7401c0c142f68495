using System.Diagnostics;
using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Decode;
using Baton.Bootstrap.Registry;
using Baton.Bootstrap.Server;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Benchmarks;

/// <summary>The bootstrap server beside a Python one of SGLang's shape; the parked query beside polling; a million rooms while they expire.</summary>
internal static class BootstrapBenchmark
{
    private const string Command = "dotnet run -c Release --project bench/Baton.Benchmarks -- bootstrap";
    private const int RoomCount = 1_000_000;
    private const int QueryRooms = 64;
    private const int Rounds = 5;
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(1);

    public static async Task<int> RunAsync(string[] arguments)
    {
        if (arguments is ["--serve"]) return await ServeAsync();
        object expiry = MeasureMillionRooms();
        using ServerProcess? ours = await ServerProcess.StartAsync(Environment.ProcessPath!, "bootstrap", "--serve");
        if (ours is null) throw new InvalidOperationException("our own server did not start");
        object parked = await MeasureParkedQueryAsync(ours.Port);
        using ServerProcess baseline = await StartBaselineAsync();
        object requests = MeasureRequests(ours, baseline);
        ResultFile.Write("bootstrap", Command, new { requests, parked, expiry });
        return 0;
    }

    /// <summary>Our server in its own process, as <c>baton bootstrap</c> runs it.</summary>
    private static async Task<int> ServeAsync()
    {
        BootstrapServer.PreferInlineSockets();
        await using BootstrapServer server = new(new BootstrapServerOptions { Port = 0, Seed = 7 }, TimeProvider.System, NullLoggerFactory.Instance);
        await server.StartAsync(CancellationToken.None);
        RegisterRanks(server.Table);
        Console.WriteLine($"{server.Address.Port} baton");
        await Console.In.ReadToEndAsync();
        return 0;
    }

    private static void RegisterRanks(BootstrapTable table)
    {
        for (int rank = 0; rank < 4; rank++)
        {
            RankRegistration registration = new() { SystemDpSize = 4, SystemDpRank = rank, RankIp = "127.0.0.1", RankPort = 4000 + rank, LoadBalanceMethod = "round_robin" };
            if (!table.Ranks.TryRegister(registration, "bench", TimeSpan.Zero, out string? conflict)) throw new InvalidOperationException(conflict);
        }
    }

    private static async Task<ServerProcess> StartBaselineAsync()
    {
        string script = Path.Combine(FindBench(), "baselines", "bootstrap_server.py");
        // aiohttp is what SGLang runs on; without it the stand-in is served by plain asyncio, which does less per request.
        string python = Environment.GetEnvironmentVariable("BATON_BENCH_PYTHON") ?? "python3";
        return await ServerProcess.StartAsync(python, script, "aiohttp") ?? await ServerProcess.StartAsync(python, script, "asyncio")
            ?? throw new InvalidOperationException($"{python} does not run {script}: install Python 3, or set BATON_BENCH_PYTHON.");
    }

    private static string FindBench()
    {
        DirectoryInfo? at = new(Environment.CurrentDirectory);
        while (at is not null && !Directory.Exists(Path.Combine(at.FullName, "bench", "baselines"))) at = at.Parent;
        return at is null ? throw new DirectoryNotFoundException("Run it inside the repository.") : Path.Combine(at.FullName, "bench");
    }

    private static Dictionary<string, object> MeasureRequests(ServerProcess ours, ServerProcess baseline)
    {
        Random random = new(81);
        string[] rooms = [.. Enumerable.Range(0, 4096).Select(_ => random.NextInt64(1, long.MaxValue).ToString())];
        byte[][] registers = [.. rooms.Select((room, i) => BootstrapLoad.Post("/register_dp_rank", $$"""{"bootstrap_room": {{room}}, "dp_rank": {{i % 4}}}"""))];
        byte[][] queries = [.. rooms.Chunk(QueryRooms).Select(chunk => BootstrapLoad.Post("/query_dp_ranks", $$"""{"bootstrap_rooms": [{{string.Join(", ", chunk)}}]}"""))];
        // Everything known on both sides, and both warm: the JIT here, caches there.
        foreach (ServerProcess server in new[] { ours, baseline })
        {
            BootstrapLoad.Run(server.Port, 1, registers, Slice);
            BootstrapLoad.Run(server.Port, 4, queries, Slice / 2);
        }
        Dictionary<string, object> figures = new() { ["baseline"] = $"python {baseline.Kind}", ["seconds_per_slice"] = Slice.TotalSeconds, ["best_of_slices"] = Rounds };
        foreach ((string name, byte[][] requests) in new[] { ("register", registers), ("query_64", queries) })
        {
            foreach (int connections in new[] { 1, 16 }) figures[$"{name}_{connections}_connections"] = Compare(ours, baseline, name, connections, requests);
        }
        return figures;
    }

    /// <summary>Slices in turn, the best of each side: the machine may be busy with other things, and then the best slice is the least disturbed.</summary>
    private static object Compare(ServerProcess ours, ServerProcess baseline, string name, int connections, byte[][] requests)
    {
        List<LoadFigures> mine = [];
        List<LoadFigures> theirs = [];
        for (int slice = 0; slice < Rounds; slice++)
        {
            theirs.Add(BootstrapLoad.Run(baseline.Port, connections, requests, Slice));
            mine.Add(BootstrapLoad.Run(ours.Port, connections, requests, Slice));
        }
        LoadFigures baton = Best(mine);
        LoadFigures python = Best(theirs);
        double throughput = Math.Round(baton.RequestsPerSecond / python.RequestsPerSecond, 2);
        double tail = Math.Round(baton.P99Microseconds / python.P99Microseconds, 3);
        Console.WriteLine($"{name} over {connections}: baton {baton}\n  {baseline.Kind} {python}\n  {throughput}x the requests/s (bar 8), p99 {tail} of it (bar 0.125)");
        return new { baton, python, requests_ratio = throughput, p99_ratio = tail };
    }

    private static LoadFigures Best(List<LoadFigures> slices) => new(
        slices.Max(f => f.RequestsPerSecond), slices.Min(f => f.P50Microseconds), slices.Min(f => f.P99Microseconds));

    private static async Task<object> MeasureParkedQueryAsync(int port)
    {
        BootstrapAddress address = new("127.0.0.1", port);
        using BootstrapClient client = new(new BootstrapClientOptions(), TimeProvider.System);
        await using RankResolver resolver = new(new RankResolverOptions(), client, TimeProvider.System, new Random(1), PipeScheduler.ThreadPool, NullLogger<RankResolver>.Instance);
        using BootstrapLoad.Connection prefill = new(port);
        using BootstrapLoad.Connection poller = new(port);
        const int RoomsPerRound = 300;
        List<double[]> rounds = [];
        for (int round = -1; round < Rounds; round++)
        {
            List<long> parked = [];
            List<long> polled = [];
            for (int i = 0; i < RoomsPerRound; i++)
            {
                long number = 5_000_000_000_000 + (2 * (((round + 1) * RoomsPerRound) + i));
                byte[] register = BootstrapLoad.Post("/register_dp_rank", $$"""{"bootstrap_room": {{number}}, "dp_rank": {{i % 4}}}""");
                Answer answer = new();
                resolver.Begin(new BootstrapInfo(address, new BootstrapRoom((ulong)number), null), answer);
                await Task.Delay(3);
                long before = Stopwatch.GetTimestamp();
                prefill.Exchange(register);
                parked.Add(await answer.KnownAt.WaitAsync(TimeSpan.FromSeconds(10)) - before);
                polled.Add(Poll(prefill, poller, (number + 1).ToString()));
            }
            parked.Sort();
            polled.Sort();
            // The first round warms up.
            if (round >= 0)
                rounds.Add([LoadFigures.Percentile(parked, 0.5), LoadFigures.Percentile(parked, 0.99), LoadFigures.Percentile(polled, 0.5), LoadFigures.Percentile(polled, 0.99)]);
        }
        var figures = new
        {
            rooms_per_round = RoomsPerRound,
            best_of_rounds = Rounds,
            parked_p50_us = rounds.Min(r => r[0]),
            parked_p99_us = rounds.Min(r => r[1]),
            polled_every_1_ms_p50_us = rounds.Min(r => r[2]),
            polled_every_1_ms_p99_us = rounds.Min(r => r[3]),
        };
        Console.WriteLine($"registration to decode knowing: {figures} (bar: parked p99 <= 1000 us)");
        return figures;
    }

    /// <summary>SGLang's way with a 1 ms cycle: one side registers at a random moment of the cycle, the other asks until it knows.</summary>
    private static long Poll(BootstrapLoad.Connection prefill, BootstrapLoad.Connection poller, string room)
    {
        byte[] query = BootstrapLoad.Post("/query_dp_ranks", $$"""{"bootstrap_rooms": [{{room}}]}""");
        byte[] register = BootstrapLoad.Post("/register_dp_rank", $$"""{"bootstrap_room": {{room}}, "dp_rank": 1}""");
        long registeredAt = 0;
        Thread other = new(() =>
        {
            Thread.Sleep(2);
            Volatile.Write(ref registeredAt, Stopwatch.GetTimestamp());
            prefill.Exchange(register);
        });
        other.Start();
        while (poller.Exchange(query).Length <= 2) Thread.Sleep(1);
        long knownAt = Stopwatch.GetTimestamp();
        other.Join();
        return knownAt - Volatile.Read(ref registeredAt);
    }

    private static Dictionary<string, double> MeasureMillionRooms()
    {
        TimeSpan life = TimeSpan.FromSeconds(330);
        ulong[] rooms = new ulong[RoomCount];
        Random random = new(81);
        for (int i = 0; i < RoomCount; i++) rooms[i] = (ulong)random.NextInt64(1, long.MaxValue);

        TimeSpan later = life + TimeSpan.FromTicks(1);
        double megabytes = 0;
        List<double[]> rounds = [];
        for (int round = 0; round < Rounds; round++)
        {
            long before = GC.GetTotalMemory(forceFullCollection: true);
            RoomTable table = new(new RoomTableOptions { EntryLife = life });
            foreach (ulong room in rooms) table.TryRegister(new BootstrapRoom(room), new DpRank(1), TimeSpan.Zero);
            megabytes = Math.Round((GC.GetTotalMemory(forceFullCollection: true) - before) / 1e6, 1);
            List<long> quiet = Requests(room => table.TryRegister(new BootstrapRoom(room), DpRank.Zero, life), () => Thread.Sleep(200), 1UL << 40);
            List<long> sweeping = Requests(room => table.TryRegister(new BootstrapRoom(room), DpRank.Zero, later), () => table.Sweep(later), 1UL << 41);
            List<long> oneLock = RequestsOfOneLock(rooms, later, life);
            rounds.Add([LoadFigures.Percentile(quiet, 1), LoadFigures.Percentile(sweeping, 1), LoadFigures.Percentile(oneLock, 1)]);
        }

        Dictionary<string, double> figures = new()
        {
            ["rooms"] = RoomCount,
            ["megabytes"] = megabytes,
            ["bytes_per_room"] = Math.Round(megabytes * 1e6 / RoomCount, 1),
            // The smallest worst case of the rounds: a stall of the table comes in every round, one of a busy machine does not.
            ["rounds"] = Rounds,
            ["worst_request_us_without_expiry"] = rounds.Min(r => r[0]),
            ["worst_request_us_while_all_expire"] = rounds.Min(r => r[1]),
            ["worst_request_us_one_lock_one_pass"] = rounds.Min(r => r[2]),
        };
        Console.WriteLine($"a million rooms: {string.Join(", ", figures)} (bars: 100 MB, 5000 us)");
        return figures;
    }

    /// <summary>One dictionary, one lock, one pass: what a straight port of SGLang's clean-up would do.</summary>
    private static List<long> RequestsOfOneLock(ulong[] rooms, TimeSpan later, TimeSpan life)
    {
        Dictionary<ulong, (int Rank, TimeSpan At)> plain = new(RoomCount);
        foreach (ulong room in rooms) plain[room] = (1, TimeSpan.Zero);
        void Register(ulong room)
        {
            lock (plain) plain[room] = (0, later);
        }
        void Clean()
        {
            lock (plain)
            {
                foreach (ulong room in plain.Where(e => later - e.Value.At > life).Select(e => e.Key).ToArray()) plain.Remove(room);
            }
        }
        return Requests(Register, Clean, 1UL << 42);
    }

    /// <summary>Registers rooms as fast as one thread can while another does something, and tells how long each took.</summary>
    private static List<long> Requests(Action<ulong> register, Action meanwhile, ulong firstRoom)
    {
        for (ulong room = 0; room < 1000; room++) register(firstRoom + room);
        List<long> ticks = new(4_000_000);
        Thread other = new(() => meanwhile());
        other.Start();
        ulong next = firstRoom + 1000;
        while (other.IsAlive && ticks.Count < ticks.Capacity)
        {
            long before = Stopwatch.GetTimestamp();
            // The same few rooms again and again: the table must not grow by the measurement.
            register(firstRoom + (next++ % 1000));
            ticks.Add(Stopwatch.GetTimestamp() - before);
        }
        other.Join();
        ticks.Sort();
        return ticks;
    }

    private sealed class Answer : IRankResolutionSink
    {
        private readonly TaskCompletionSource<long> _source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<long> KnownAt => _source.Task;

        public void OnResolved(BootstrapRoom room, ResolvedRank resolved) => _source.SetResult(Stopwatch.GetTimestamp());

        public void OnResolveFailed(BootstrapRoom room, RequestFailure failure) => _source.SetException(new InvalidOperationException(failure.ToString()));
    }
}
