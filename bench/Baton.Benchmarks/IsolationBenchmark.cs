using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Benchmarks;

/// <summary>The demo model: worst gap between tokens of running streams while long prompts arrive, unified against prefill and decode on the same cores.</summary>
public static class IsolationBenchmark
{
    public static async Task<int> RunAsync(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0]) : 5;
        string[] worker = ["--max-batch-tokens", "512", "--context-length", "2048"];
        await using BatonStack unified = await BatonStack.UnifiedAsync("unified", worker);
        await using BatonStack split = await BatonStack.PrefillDecodeAsync("prefill + decode", worker, worker, []);
        IsolationOptions options = new() { Streams = 3, StreamOutputTokens = 1500, Prompts = 8, PromptTokens = 1000, PromptInterval = TimeSpan.FromMilliseconds(200) };
        Dictionary<string, List<IsolationOutcome>> found = new(StringComparer.Ordinal);
        for (int round = 0; round < rounds; round++)
        {
            foreach (BatonStack stack in new[] { unified, split })
            {
                BenchSettings settings = new() { Backend = BenchBackend.Parse("baton"), BaseUrl = stack.Url, Dataset = new() { Seed = round + 1 } };
                using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
                IsolationOutcome outcome = await new IsolationRun(settings, client, TimeProvider.System, options).RunAsync(CancellationToken.None);
                if (!found.TryGetValue(stack.Name, out List<IsolationOutcome>? outcomes)) found[stack.Name] = outcomes = [];
                outcomes.Add(outcome);
                Console.WriteLine($"round {round + 1}  {stack.Name,-18} quiet worst {outcome.Quiet.Max,8:F2} ms  disturbed p99 {outcome.Disturbed.Percentile(99),8:F2}  worst {outcome.Disturbed.Max,8:F2} ms  prompt TTFT p50 {outcome.PromptTtftMs.Median:F1} ms  failed {outcome.FailedStreams + outcome.FailedPrompts}");
            }
        }
        double Worst(string name) => new Distribution(found[name].Select(outcome => outcome.Disturbed.Max)).Median;
        ResultFile.Write("isolation", $"dotnet build -c Release src/Baton.Cli && dotnet run -c Release --project bench/Baton.Benchmarks -- isolation {rounds}", new
        {
            load_average = BatonStack.LoadAverage(),
            options.Streams,
            options.StreamOutputTokens,
            options.Prompts,
            options.PromptTokens,
            prompt_interval_ms = options.PromptInterval.TotalMilliseconds,
            bar = "median worst gap of prefill + decode <= 1/3 of unified",
            ratio = Math.Round(Worst(split.Name) / Worst(unified.Name), 3),
            sides = found.Select(side => new
            {
                side = side.Key,
                median_worst_gap_ms = Worst(side.Key),
                worst_gap_ms = side.Value.Select(outcome => Math.Round(outcome.Disturbed.Max, 2)).ToArray(),
                p99_gap_ms = side.Value.Select(outcome => Math.Round(outcome.Disturbed.Percentile(99), 2)).ToArray(),
                quiet_worst_gap_ms = side.Value.Select(outcome => Math.Round(outcome.Quiet.Max, 2)).ToArray(),
                median_prompt_ttft_ms = new Distribution(side.Value.Select(outcome => outcome.PromptTtftMs.Median)).Median,
                failed = side.Value.Sum(outcome => outcome.FailedStreams + outcome.FailedPrompts),
            }).ToArray(),
        });
        return 0;
    }
}
