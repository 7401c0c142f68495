using System.Globalization;
using System.Text.Json;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;
using Baton.Core.Randomness;

namespace Baton.Benchmarks.Ttft;

/// <summary>
/// SGLang's published experiment on real Baton processes: one prefill worker of four ranks behind a router, 3,500-token prompts, 5 output
/// tokens, 200 requests, six rates. Engines are simulated and 20 times as fast, and rates 20 times as high; HTTP, TCP, bootstrap and
/// hand-over are real. The simulator plays the same arrivals beside it.
/// </summary>
internal static class TtftTableBenchmark
{
    private const int AloneRequests = 40;

    public static async Task<int> RunAsync(string[] args)
    {
        TtftPlan plan = TtftPlan.Parse(args);
        List<Stack> stacks = [];
        List<TtftRow> rows = [];
        try
        {
            foreach (string method in plan.Methods) stacks.Add(await StartAsync(plan, method));
            foreach (int seed in plan.Seeds)
            {
                foreach (double rate in plan.Rates)
                {
                    // All methods in turn at the same arrivals, so that a busy moment of the machine does not hit one of them alone.
                    foreach (Stack stack in stacks) rows.Add(await MeasureAsync(plan, stack, rate, seed));
                }
            }
        }
        finally
        {
            foreach (Stack stack in stacks) await stack.DisposeAsync();
        }
        TtftResult.Write(plan, rows, args);
        return 0;
    }

    private sealed record Stack(string Method, BatonStack Processes, BenchClient Client, BenchSettings Settings) : IAsyncDisposable
    {
        /// <summary>See <see cref="TtftRow.WayMs"/>.</summary>
        public double? WayMs { get; init; }

        public async ValueTask DisposeAsync()
        {
            Client.Dispose();
            await Processes.DisposeAsync();
        }
    }

    private static async Task<Stack> StartAsync(TtftPlan plan, string method)
    {
        string[] engine = plan.IsSimulated
            ? ["--engine", "simulated", "--simulated-cost", $"{plan.Cost}", "--simulated-time-scale", (1 / plan.Speedup).ToString(CultureInfo.InvariantCulture),
                "--chunked-prefill-size", $"{plan.ChunkTokens}", "--max-batch-tokens", $"{plan.ChunkTokens + 256}", "--max-running-requests", "256",
                "--context-length", $"{plan.ContextTokens}", "--max-total-tokens", "1000000"]
            : ["--context-length", $"{plan.ContextTokens}", "--max-total-tokens", "65536"];
        bool isRouterChoosing = method == "default";
        string[] dispatch = isRouterChoosing ? [] : ["--load-balance-method", method];
        string[] router = isRouterChoosing ? [] : ["--dp-mode", "off", "--room-mode", "random"];
        BatonStack processes = await BatonStack.PrefillDecodeAsync(method, [.. engine, "--dp-size", $"{plan.Ranks}", .. dispatch], [.. engine, "--dp-size", "1"], router);
        BenchSettings settings = new() { Backend = BenchBackend.Parse("baton"), BaseUrl = processes.Url };
        Stack stack = new(method, processes, new BenchClient(settings.ClientOptions(), BenchClient.CreateHandler()), settings);
        // The first requests of a process pay for the just-in-time compiler, and one millisecond of that would read as twenty.
        await SendAsync(stack, plan, double.PositiveInfinity, seed: 1001);
        await SendAsync(stack, plan, plan.Rates.Where(double.IsFinite).DefaultIfEmpty(1).Max(), seed: 1002);
        return plan.IsSimulated ? stack with { WayMs = await AloneAsync(stack, plan) } : stack;
    }

    private static async Task<TtftRow> MeasureAsync(TtftPlan plan, Stack stack, double rate, int seed)
    {
        (BenchOutcome outcome, TimeSpan[] arrivals) = await SendAsync(stack, plan, rate, seed);
        int[] lengths = [.. outcome.Records.Select(record => record.Request.PromptTokens)];
        SimulatedRun? same = plan.IsSimulated ? TtftSimulator.Run(plan, stack.Method, arrivals, lengths, seed) : null;
        Distribution? oracle = plan.IsSimulated ? new(TtftSimulator.Run(plan, "oracle", arrivals, lengths, seed).TtftMs) : null;
        TtftRow row = new()
        {
            Seed = seed,
            Rate = TtftPlan.NameOf(rate),
            Method = stack.Method,
            Completed = outcome.Figures.Completed,
            MeanMs = Round(outcome.Figures.Ttft.Mean * plan.Speedup),
            P99Ms = Round(outcome.Figures.Ttft.Percentile(99) * plan.Speedup),
            MeanFromIntendedMs = Round(outcome.Figures.TtftFromIntended.Mean * plan.Speedup),
            SimulatedMeanMs = same is null ? null : Round(same.TtftMs.Average()),
            OracleMeanMs = oracle is null ? null : Round(oracle.Mean),
            OracleP99Ms = oracle is null ? null : Round(oracle.Percentile(99)),
            Imbalance = Math.Round(outcome.Pd.PrefillImbalance ?? double.NaN, 3),
            SameRank = same is null ? null : Math.Round(SameRank([.. outcome.Records.Select(record => record.PrefillDpRank ?? -1)], same.Ranks, plan.Ranks), 3),
            LatenessP99Ms = Math.Round(outcome.Figures.Lateness.Percentile(99), 2),
            WayMs = stack.WayMs,
            LoadAverage = double.Parse(BatonStack.LoadAverage().Split(' ')[0], CultureInfo.InvariantCulture),
        };
        if (plan.DetailsPath is not null) WriteDetails(plan, row, outcome, same);
        string beside = same is null ? "" : $"  simulated {row.SimulatedMeanMs,9:F1}  oracle {row.OracleMeanMs,9:F1} ({100 * ((row.MeanMs / row.OracleMeanMs) - 1),5:F1} %)  same rank {row.SameRank:F2}";
        Console.WriteLine($"seed {seed}  rate {row.Rate,4}  {row.Method,-22} mean TTFT {row.MeanMs,9:F1}  p99 {row.P99Ms,9:F1}{beside}  max/mean {row.Imbalance:F2}  done {row.Completed}/{plan.Requests}  late p99 {row.LatenessP99Ms:F2} ms");
        return row;
    }

    private static async Task<(BenchOutcome Outcome, TimeSpan[] Arrivals)> SendAsync(Stack stack, TtftPlan plan, double rate, int seed)
    {
        ServingRun run = new(stack.Settings with { RequestRate = rate * plan.Speedup, Dataset = stack.Settings.Dataset with { Seed = seed } }, stack.Client, TimeProvider.System, new QuietObserver());
        BenchRequest[] requests = Draw(plan, plan.Requests, seed);
        TimeSpan[] arrivals = run.Arrivals(requests);
        BenchOutcome outcome = await run.MeasureAsync(requests, Bodies(stack, requests), arrivals, CancellationToken.None);
        return (outcome, [.. arrivals.Select(at => at * plan.Speedup)]);
    }

    /// <summary>One request at a time, against the time that its engines' steps take: what the way adds, in real milliseconds.</summary>
    private static async Task<double> AloneAsync(Stack stack, TtftPlan plan)
    {
        BenchRequest[] requests = Draw(plan, AloneRequests, seed: 1003);
        byte[][] bodies = Bodies(stack, requests);
        List<double> way = [];
        for (int i = 0; i < requests.Length; i++)
        {
            RequestRecord record = new(i, requests[i]);
            await stack.Client.SendAsync(bodies[i], record, new RunClock(TimeProvider.System), CancellationToken.None);
            double engineMs = TtftSimulator.Run(plan, stack.Method, [TimeSpan.Zero], [requests[i].PromptTokens], seed: 1).TtftMs[0] / plan.Speedup;
            way.Add(record.Ttft.TotalMilliseconds - engineMs);
            // Longer than a rank thread carries a timer's oversleeping over to its next step.
            await Task.Delay(25);
        }
        double median = Math.Round(new Distribution(way).Median, 3);
        Console.WriteLine($"{stack.Method,-22} one request alone: {median:F2} ms more than its engines take");
        return median;
    }

    private static BenchRequest[] Draw(TtftPlan plan, int count, int seed)
    {
        SeededRandom random = new((ulong)seed);
        SeededRandom lengths = random.Fork(1), tokens = random.Fork(2);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            int[] ids = new int[plan.Lengths.Draw(lengths)];
            for (int i = 0; i < ids.Length; i++) ids[i] = tokens.NextBetween(0, 255);
            return new BenchRequest { TokenIds = ids, PromptTokens = ids.Length, OutputTokens = plan.OutputTokens };
        })];
    }

    private static byte[][] Bodies(Stack stack, BenchRequest[] requests)
    {
        RequestBodyWriter writer = new(stack.Settings.Backend, "", stream: true, ignoreEos: true, extra: null);
        return [.. requests.Select(request => writer.Write(request))];
    }

    private static double SameRank(int[] real, int[] simulated, int ranks) =>
        real.Where((rank, i) => (rank - real[0] + ranks) % ranks == (simulated[i] - simulated[0] + ranks) % ranks).Count() / (double)real.Length;

    private static void WriteDetails(TtftPlan plan, TtftRow row, BenchOutcome outcome, SimulatedRun? same)
    {
        using StreamWriter file = new(plan.DetailsPath!, append: true);
        foreach (RequestRecord record in outcome.Records)
        {
            file.WriteLine(JsonSerializer.Serialize(new
            {
                row.Seed,
                row.Rate,
                row.Method,
                record.Index,
                prompt_tokens = record.Request.PromptTokens,
                intended_ms = Round(record.IntendedAt.TotalMilliseconds * plan.Speedup),
                late_ms = Round(record.Lateness.TotalMilliseconds * plan.Speedup),
                ttft_ms = Round(record.Ttft.TotalMilliseconds * plan.Speedup),
                simulated_ttft_ms = same is null ? (double?)null : Round(same.TtftMs[record.Index]),
                rank = record.PrefillDpRank,
                simulated_rank = same?.Ranks[record.Index],
                handover_ms = Round(record.HandoverTime.TotalMilliseconds * plan.Speedup),
            }));
        }
    }

    private static double Round(double milliseconds) => Math.Round(milliseconds, 1);
}
