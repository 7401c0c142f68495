using System.Globalization;
using System.Text.Json.Nodes;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;

namespace Baton.Benchmarks;

/// <summary>The demo model: worst gap between tokens of running streams while long prompts arrive, unified against prefill and decode on the same cores.</summary>
/// <remarks>Unified in two forms: one rank, which leaves the other core to HTTP and the client, and two, which have as many compute threads as prefill + decode.</remarks>
internal static class IsolationBenchmark
{
    private static readonly string[] WorkerFlags = ["--max-batch-tokens", "512", "--context-length", "2048"];

    /// <param name="args">Rounds, 5 when left out.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 5;
        await using BatonStack one = await BatonStack.UnifiedAsync("unified, one rank", WorkerFlags);
        await using BatonStack two = await BatonStack.UnifiedAsync("unified, two ranks", [.. WorkerFlags, "--dp-size", "2"]);
        await using BatonStack split = await BatonStack.PrefillDecodeAsync("prefill + decode", WorkerFlags, WorkerFlags, []);
        BatonStack[] stacks = [one, two, split];
        IsolationOptions options = new() { Streams = 3, StreamOutputTokens = 1500, Prompts = 8, PromptTokens = 1000, PromptInterval = TimeSpan.FromMilliseconds(200) };
        List<IsolationOutcome>[] found = [.. stacks.Select(_ => new List<IsolationOutcome>())];
        // Round 0 warms up the just-in-time compiler and is not counted.
        for (int round = 0; round <= rounds; round++)
        {
            for (int i = 0; i < stacks.Length; i++)
            {
                BenchSettings settings = new() { Backend = BenchBackend.Parse("baton"), BaseUrl = stacks[i].Url, Dataset = new() { Seed = round + 1 } };
                using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
                IsolationOutcome outcome = await new IsolationRun(settings, client, TimeProvider.System, options).RunAsync(CancellationToken.None);
                if (round > 0) found[i].Add(outcome);
                Console.WriteLine($"round {round}  {stacks[i].Name,-18} quiet p50 {outcome.Quiet.Median,6:F2} worst {outcome.Quiet.Max,8:F2} ms  disturbed p50 {outcome.Disturbed.Median,6:F2} p99 {outcome.Disturbed.Percentile(99),8:F2} worst {outcome.Disturbed.Max,8:F2} ms  prompt TTFT p50 {outcome.PromptTtftMs.Median:F1} ms  failed {outcome.FailedStreams + outcome.FailedPrompts}");
            }
        }
        IsolationSide[] sides = [.. stacks.Select((stack, i) => new IsolationSide(stack.Name, found[i]))];
        string command = $"dotnet build -c Release src/Baton.Cli && dotnet run -c Release --project bench/Baton.Benchmarks -- isolation {rounds}";
        ResultFile.Write("isolation", command, new
        {
            load_average = BatonStack.LoadAverage(),
            bar = "worst gap of prefill + decode <= 1/3 of unified",
            ratio_to_one_rank = Against(options, sides[0], sides[2]),
            ratio_to_two_ranks = Against(options, sides[1], sides[2]),
            rounds = new IsolationReport(options, sides).ToJson(command)["servers"],
        });
        return 0;
    }

    private static JsonObject Against(IsolationOptions options, IsolationSide unified, IsolationSide split)
    {
        IsolationReport report = new(options, [unified, split]);
        return new JsonObject { ["median_of_rounds"] = Math.Round(report.Ratio!.Value, 3), ["worst_of_all_rounds"] = Math.Round(report.RatioOfWorst!.Value, 3) };
    }
}
