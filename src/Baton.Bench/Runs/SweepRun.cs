using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Bench.Runs;

/// <summary>What a sweep varies.</summary>
public enum SweepAxis
{
    RequestRate,
    MaxConcurrency,
}

/// <param name="Load">The rate or the concurrency of this point.</param>
public sealed record SweepPoint(double Load, BenchOutcome Outcome);

/// <param name="KneeIndex">Where mean TTFT begins to rise faster than the load; null when the points show no bend.</param>
public sealed record SweepOutcome(SweepAxis Axis, IReadOnlyList<SweepPoint> Points, int? KneeIndex);

/// <summary>The same requests at several rates or concurrencies, one after the other.</summary>
/// <param name="pause">Between points, so that one's tail does not load the next.</param>
public sealed class SweepRun(BenchSettings settings, BenchClient client, TimeProvider time, IBenchObserver observer, TimeSpan pause)
{
    /// <param name="loads">Ascending. Infinity is allowed as a rate; it takes no part in finding the knee.</param>
    /// <exception cref="BenchException">No loads, or one that makes no sense.</exception>
    public async Task<SweepOutcome> RunAsync(SweepAxis axis, IReadOnlyList<double> loads, CancellationToken ct)
    {
        if (loads.Count == 0) throw new BenchException("A sweep needs --rates or --concurrencies, such as --rates 1,2,4,8,inf.");
        (IReadOnlyList<BenchRequest> requests, byte[][] payloads) = await new ServingRun(settings, client, time, observer).PrepareAsync(ct);
        List<SweepPoint> points = [];
        foreach (double load in loads)
        {
            BenchSettings at = axis == SweepAxis.RequestRate ? settings with { RequestRate = load } : settings with { MaxConcurrency = (int)load };
            observer.OnPhase(axis == SweepAxis.RequestRate ? $"Rate {Reports.PythonFormat.Float(load)} req/s" : $"Concurrency {load}");
            ServingRun run = new(at, client, time, observer);
            points.Add(new SweepPoint(load, await run.MeasureAsync(requests, payloads, run.Arrivals(requests), ct)));
            await Task.Delay(pause, time, ct);
        }
        SweepPoint[] finite = [.. points.Where(point => double.IsFinite(point.Load)).OrderBy(point => point.Load)];
        int? knee = Knee.Find([.. finite.Select(point => point.Load)], [.. finite.Select(point => point.Outcome.Figures.Ttft)]);
        return new SweepOutcome(axis, points, knee is { } index ? points.IndexOf(finite[index]) : null);
    }
}
