using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Benchmarks;

/// <summary>
/// SGLang's published experiment on real Baton processes: one prefill worker of four ranks, 3,500-token prompts, 5 output tokens, 200
/// requests, six rates. Engines are simulated and 20 times as fast, and rates 20 times as high; HTTP, TCP, bootstrap and hand-over are real.
/// </summary>
public static class TtftTableBenchmark
{
    private const double Speedup = 20;
    private const int Prompts = 200;
    private static readonly double[] Rates = [1, 2, 2.6, 3.2, 4, double.PositiveInfinity];
    /// <summary>From SGLang pull request 14726: mean TTFT in ms, modulo rank choice, then round robin.</summary>
    private static readonly double[] PublishedModulo = [1860.30, 3896.73, 5976.88, 10446.72, 15599.93, 37264.81];
    private static readonly double[] PublishedRoundRobin = [1432.17, 2669.39, 3854.59, 4816.37, 12293.58, 37184.89];
    /// <summary>37 s mean TTFT for 200 requests at once means 0.37 s a request over four ranks: 1.48 s a prompt of 3,500 tokens.</summary>
    private const string Cost = "fixed=5,prompt=0.42,row=0.1";

    public static async Task<int> RunAsync(string[] args)
    {
        int seeds = args.Length > 0 ? int.Parse(args[0]) : 3;
        string[] engine = ["--engine", "simulated", "--simulated-cost", Cost, "--simulated-time-scale", $"{1 / Speedup}",
            "--chunked-prefill-size", "3584", "--max-batch-tokens", "3840", "--max-running-requests", "256", "--context-length", "8192", "--max-total-tokens", "1000000"];
        string[] decode = [.. engine, "--dp-size", "1"];
        string[] worker = ["--dp-mode", "Off", "--room-mode", "Random"];
        List<BatonStack> stacks = [];
        try
        {
            foreach (string method in new[] { "follow_bootstrap_room", "round_robin", "auto" })
                stacks.Add(await BatonStack.PrefillDecodeAsync(method, [.. engine, "--dp-size", "4", "--load-balance-method", method], decode, worker));
            stacks.Add(await BatonStack.PrefillDecodeAsync("baton default (router chooses ranks)", [.. engine, "--dp-size", "4"], decode, []));

            Dictionary<(string Method, int Rate), List<(double Mean, double P99, double Imbalance)>> found = [];
            for (int seed = 1; seed <= seeds; seed++)
            {
                for (int rate = 0; rate < Rates.Length; rate++)
                {
                    // All methods in turn at the same arrivals, so that a busy moment of the machine does not hit one of them alone.
                    foreach (BatonStack stack in stacks)
                    {
                        BenchOutcome outcome = await MeasureAsync(stack.Url, Rates[rate], seed);
                        (double Mean, double P99, double Imbalance) row = (outcome.Figures.Ttft.Mean * Speedup, outcome.Figures.Ttft.Percentile(99) * Speedup, outcome.Pd.PrefillImbalance ?? double.NaN);
                        if (!found.TryGetValue((stack.Name, rate), out var rows)) found[(stack.Name, rate)] = rows = [];
                        rows.Add(row);
                        Console.WriteLine($"seed {seed}  rate {Rates[rate],4}  {stack.Name,-38} mean TTFT {row.Mean,9:F1} ms  p99 {row.P99,9:F1} ms  tokens max/mean {row.Imbalance:F2}  done {outcome.Figures.Completed}/{Prompts}  late p99 {outcome.Figures.Lateness.Percentile(99):F2} ms");
                    }
                }
            }
            Report(stacks, found, seeds);
            return 0;
        }
        finally
        {
            foreach (BatonStack stack in stacks) await stack.DisposeAsync();
        }
    }

    private static async Task<BenchOutcome> MeasureAsync(Uri url, double rate, int seed)
    {
        BenchSettings settings = new()
        {
            Backend = BenchBackend.Parse("baton"),
            BaseUrl = url,
            RequestRate = rate * Speedup,
            Dataset = new DatasetOptions { Name = "random-ids", NumPrompts = Prompts, RandomInputLen = 3500, RandomOutputLen = 5, RandomRangeRatio = 1, Seed = seed },
        };
        using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
        return await new ServingRun(settings, client, TimeProvider.System, new QuietObserver()).RunAsync(CancellationToken.None);
    }

    private static void Report(List<BatonStack> stacks, Dictionary<(string Method, int Rate), List<(double Mean, double P99, double Imbalance)>> found, int seeds)
    {
        List<object> table = [];
        for (int rate = 0; rate < Rates.Length; rate++)
        {
            double modulo = new Distribution(found[(stacks[0].Name, rate)].Select(row => row.Mean)).Mean;
            table.Add(new
            {
                rate = double.IsFinite(Rates[rate]) ? Rates[rate].ToString() : "inf",
                published_modulo_mean_ttft_ms = PublishedModulo[rate],
                published_round_robin_mean_ttft_ms = PublishedRoundRobin[rate],
                published_reduction_percent = Math.Round(100 * (1 - (PublishedRoundRobin[rate] / PublishedModulo[rate])), 2),
                methods = stacks.Select(stack =>
                {
                    List<(double Mean, double P99, double Imbalance)> rows = found[(stack.Name, rate)];
                    Distribution mean = new(rows.Select(row => row.Mean));
                    return new
                    {
                        method = stack.Name,
                        mean_ttft_ms = Math.Round(mean.Mean, 1),
                        mean_ttft_ms_by_seed = rows.Select(row => Math.Round(row.Mean, 1)).ToArray(),
                        p99_ttft_ms = Math.Round(rows.Average(row => row.P99), 1),
                        reduction_percent = Math.Round(100 * (1 - (mean.Mean / modulo)), 2),
                        tokens_max_over_mean = Math.Round(rows.Average(row => row.Imbalance), 3),
                    };
                }).ToArray(),
            });
        }
        ResultFile.Write("ttft-published", $"dotnet build -c Release src/Baton.Cli && dotnet run -c Release --project bench/Baton.Benchmarks -- ttft {seeds}", new
        {
            load_average = BatonStack.LoadAverage(),
            prefill_ranks = 4,
            prompt_tokens = 3500,
            output_tokens = 5,
            requests = Prompts,
            seeds,
            speedup = Speedup,
            simulated_cost = Cost,
            note = "Times are scaled back to the published scale. Reductions are against follow_bootstrap_room of the same run.",
            table,
        });
    }
}
