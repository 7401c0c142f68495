using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Bench.Runs;

/// <summary>One metric of both sides.</summary>
/// <param name="A">The statistic itself, in milliseconds.</param>
/// <param name="Ratio">B over A.</param>
/// <param name="DifferenceMs">B minus A.</param>
public sealed record ComparedMetric(string Name, double A, double B, Estimate Ratio, Estimate DifferenceMs)
{
    public string Verdict => !Ratio.Excludes(1) ? "same" : Ratio.Value < 1 ? "B faster" : "B slower";
}

/// <param name="PairCount">Requests that both sides answered; only they are compared.</param>
public sealed record CompareOutcome(
    IReadOnlyList<RequestRecord> RecordsA, IReadOnlyList<RequestRecord> RecordsB, int PairCount, IReadOnlyList<ComparedMetric> Metrics)
{
    /// <summary>Of the generator, over the requests to both sides.</summary>
    public Distribution Lateness { get; } = new(RecordsA.Concat(RecordsB).Select(record => record.Lateness.TotalMilliseconds));

    /// <summary>Whether the generator kept its schedule; see <see cref="BenchOutcome.LatenessLimit"/>. A burst has none: then all are meant for the same moment.</summary>
    public bool IsLate => RecordsA.Any(record => record.IntendedAt != RecordsA[0].IntendedAt) && Lateness.Percentile(99) > BenchOutcome.LatenessLimit.TotalMilliseconds;

    public ComparedMetric Metric(string name) => Metrics.Single(metric => string.Equals(metric.Name, name, StringComparison.Ordinal));
}

/// <summary>Sends each request to A and to B, next to each other in time and in random order, and compares them pair by pair.</summary>
/// <remarks>
/// Interleaving makes both sides see the same noise of the machine. Where A and B lead to the same workers (one through a router), the
/// difference is what the way costs. The second of a pair may find the first's prompt in a prefix cache: order is random so that both sides gain alike.
/// </remarks>
public sealed class CompareRun(BenchSettings settings, BenchClient a, BenchClient b, TimeProvider time, IBenchObserver observer, Random random)
{
    private static readonly (string Name, Func<Distribution, double> Of)[] Statistics =
        [("mean", values => values.Mean), ("p50", values => values.Median), ("p99", values => values.Percentile(99))];

    public async Task<CompareOutcome> RunAsync(CancellationToken ct)
    {
        (IReadOnlyList<BenchRequest> requests, byte[][] payloads) = await new ServingRun(settings, a, time, observer).PrepareAsync(ct);
        await new ServingRun(settings, b, time, observer).PrepareAsync(ct);                 // B's own warm-up
        bool[] bFirst = [.. requests.Select(_ => random.Next(2) == 1)];
        int Pair(int index) => index / 2;
        bool IsB(int index) => (index % 2 == 0) == bFirst[Pair(index)];

        // --request-rate is what each side sees, so the merged stream has twice of it.
        TimeSpan[] arrivals = ArrivalSchedule.Poisson(requests.Count * 2, settings.RequestRate * 2, random);
        LoadRun load = new(
            index => IsB(index) ? b : a, new LoadOptions { MaxConcurrency = settings.MaxConcurrency, PacingSlack = settings.PacingSlack }, observer);
        observer.OnRunStarting(requests.Count * 2);
        LoadResult result = await load.RunAsync(
            [.. Enumerable.Range(0, requests.Count * 2).Select(i => requests[Pair(i)])],
            [.. Enumerable.Range(0, requests.Count * 2).Select(i => payloads[Pair(i)])], arrivals, new RunClock(time), ct);

        RequestRecord[] ofA = [.. Enumerable.Range(0, requests.Count).Select(pair => result.Records[(pair * 2) + (bFirst[pair] ? 1 : 0)])];
        RequestRecord[] ofB = [.. Enumerable.Range(0, requests.Count).Select(pair => result.Records[(pair * 2) + (bFirst[pair] ? 0 : 1)])];
        return Compare(ofA, ofB);
    }

    private CompareOutcome Compare(RequestRecord[] ofA, RequestRecord[] ofB)
    {
        (RequestRecord A, RequestRecord B)[] pairs = [.. ofA.Zip(ofB).Where(pair => pair.First.IsSuccess && pair.Second.IsSuccess)];
        if (pairs.Length == 0)
            throw new BenchException($"No request was answered by both sides. First errors: A: {FirstError(ofA)}; B: {FirstError(ofB)}.");
        List<ComparedMetric> metrics = [];
        Add("ttft", record => record.Ttft.TotalMilliseconds);
        Add("tpot", record => record.Tpot?.TotalMilliseconds);
        Add("worst_gap", record => record.InterTokenMs.Count == 0 ? null : record.InterTokenMs.Max());
        Add("e2e", record => record.Latency.TotalMilliseconds);
        return new CompareOutcome(ofA, ofB, pairs.Length, metrics);

        void Add(string name, Func<RequestRecord, double?> value)
        {
            (double A, double B)[] both = [.. pairs.Select(pair => (A: value(pair.A), B: value(pair.B))).Where(pair => pair.A is not null && pair.B is not null).Select(pair => (pair.A!.Value, pair.B!.Value))];
            if (both.Length == 0) return;
            double[] left = [.. both.Select(pair => pair.A)];
            double[] right = [.. both.Select(pair => pair.B)];
            foreach ((string statistic, Func<Distribution, double> of) in Statistics)
            {
                metrics.Add(new ComparedMetric(
                    $"{statistic}_{name}_ms", of(new Distribution(left)), of(new Distribution(right)),
                    BootstrapInterval.Ratio(left, right, of, random), BootstrapInterval.Difference(left, right, of, random)));
            }
        }
    }

    private static string FirstError(RequestRecord[] records) => records.FirstOrDefault(record => !record.IsSuccess)?.Error is { } error ? $"{error.Label}: {error.Message}" : "none";
}
