using System.Globalization;
using System.Text.Json;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;

namespace Baton.Benchmarks;

/// <summary>What the way through the router costs, by <c>baton bench compare</c>: a worker directly (A) and through a router (B), pair by pair.</summary>
/// <remarks>The worker against itself stands beside it: a difference of that size is the measurement's own.</remarks>
internal static class CompareBenchmark
{
    private const int Warmup = 200;
    private static readonly string[] Worker = ["--engine", "simulated", "--simulated-cost", "fixed=2,prompt=0.002,row=0.01", "--dp-size", "2", "--max-running-requests", "64", "--context-length", "2048", "--max-total-tokens", "100000"];

    /// <param name="args">Requests a second and side (100), requests a side (1000).</param>
    public static async Task<int> RunAsync(string[] args)
    {
        double rate = args.Length > 0 ? double.Parse(args[0], CultureInfo.InvariantCulture) : 100;
        int requests = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 1000;
        (BatonStack stack, Uri worker) = await BatonStack.UnifiedBehindRouterAsync("router before one worker", Worker);
        await using BatonStack processes = stack;
        JsonElement control = await CompareAsync(worker, worker, rate, requests);
        JsonElement way = await CompareAsync(worker, stack.Url, rate, requests);
        ResultFile.Write("compare-router", $"dotnet build -c Release src/Baton.Cli && dotnet run -c Release --project bench/Baton.Benchmarks -- compare {string.Join(' ', args)}".TrimEnd(), new
        {
            load_average = BatonStack.LoadAverage(),
            worker = string.Join(' ', Worker),
            warmup_requests = Warmup,
            worker_against_itself = control,
            worker_against_router = way,
        });
        return 0;
    }

    private static async Task<JsonElement> CompareAsync(Uri a, Uri b, double rate, int requests)
    {
        BenchSettings settings = new()
        {
            Backend = BenchBackend.Parse("baton"),
            BaseUrl = a,
            RequestRate = rate,
            WarmupRequests = Warmup,
            MaxConcurrency = 64,
            Dataset = new() { Name = "random-ids", NumPrompts = requests, RandomInputLen = 256, RandomOutputLen = 8, RandomRangeRatio = 1 },
        };
        using BenchClient clientA = new(settings.ClientOptions(a), BenchClient.CreateHandler());
        using BenchClient clientB = new(settings.ClientOptions(b), BenchClient.CreateHandler());
        CompareOutcome outcome = await new CompareRun(settings, clientA, clientB, TimeProvider.System, new QuietObserver(), new Random(1)).RunAsync(CancellationToken.None);
        foreach (ComparedMetric metric in outcome.Metrics)
            Console.WriteLine($"{(a == b ? "itself" : "router"),-7} {metric.Name,-20} A {metric.A,8:F3}  B {metric.B,8:F3} ms  B - A {Microseconds(metric.DifferenceMs)} us");
        return JsonSerializer.Deserialize<JsonElement>(new CompareReport(a, b, settings, outcome).Line(""));
    }

    private static string Microseconds(Estimate of) => $"{of.Value * 1000,7:F0}  ({of.Low * 1000:F0} .. {of.High * 1000:F0})";
}
