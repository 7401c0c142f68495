using Baton.Core.Failures;
using Baton.Simulation.Cluster;

namespace Baton.Simulation.Figures;

/// <summary>What came of one cluster under a workload, over one run or several.</summary>
public sealed record ClusterFigures
{
    public required int Requests { get; init; }
    /// <summary>Ended well.</summary>
    public required int Succeeded { get; init; }
    /// <summary>Ended well and inside the goals.</summary>
    public required int WithinGoals { get; init; }
    /// <summary>Neither ended well nor failed when the run was stopped.</summary>
    public required int Unfinished { get; init; }
    /// <summary>Why requests failed, and how many.</summary>
    public required IReadOnlyDictionary<FailureReason, int> Failures { get; init; }
    /// <summary>Mean over requests that got a first token.</summary>
    public required double MeanTtftMs { get; init; }
    /// <summary>Percentiles over all requests: one without a first token counts as infinitely late.</summary>
    public required double P50TtftMs { get; init; }
    public required double P99TtftMs { get; init; }
    /// <summary>Over all gaps between two tokens; NaN when no answer had two.</summary>
    public required double P50ItlMs { get; init; }
    public required double P99ItlMs { get; init; }
    /// <summary>Share of the time in which a rank was computing, mean over the ranks of that side.</summary>
    public required double PrefillUtilisation { get; init; }
    public required double DecodeUtilisation { get; init; }
    /// <summary>Virtual time from start to the last end, summed over the runs.</summary>
    public required TimeSpan Span { get; init; }
    public required long OutputTokens { get; init; }
    public required long Events { get; init; }
    /// <summary>Of the last run.</summary>
    public required string TraceHash { get; init; }

    public double Attainment => Requests == 0 ? 0 : (double)WithinGoals / Requests;

    public static ClusterFigures Of(IReadOnlyList<SimulatedCluster> runs, int requests, ServiceGoals goals)
    {
        List<double> ttfts = [];
        GapHistogram gaps = new();
        Dictionary<FailureReason, int> failures = [];
        int succeeded = 0, within = 0, ended = 0;
        long tokens = 0;
        foreach (SimulatedCluster run in runs)
        {
            gaps.Add(run.Gaps);
            ended += run.EndedCount;
            foreach (RequestRecord record in run.Records)
            {
                if (record.Ttft is { } ttft) ttfts.Add(ttft.TotalMilliseconds);
                if (record is { EndedAt: not null, Failure: null }) succeeded++;
                if (record.Failure is { } failure) failures[failure.Reason] = failures.GetValueOrDefault(failure.Reason) + 1;
                if (goals.Holds(record)) within++;
                tokens += record.OutputTokens;
            }
        }
        double mean = ttfts.Count == 0 ? double.NaN : ttfts.Average();
        while (ttfts.Count < requests) ttfts.Add(double.PositiveInfinity);
        ttfts.Sort();
        return new ClusterFigures
        {
            Requests = requests,
            Succeeded = succeeded,
            WithinGoals = within,
            Unfinished = requests - ended,
            Failures = failures,
            MeanTtftMs = mean,
            P50TtftMs = Percentiles.Of(ttfts, 0.5),
            P99TtftMs = Percentiles.Of(ttfts, 0.99),
            P50ItlMs = gaps.PercentileMs(0.5),
            P99ItlMs = gaps.PercentileMs(0.99),
            PrefillUtilisation = runs.Average(run => run.PrefillUtilisation),
            DecodeUtilisation = runs.Average(run => run.DecodeUtilisation),
            Span = TimeSpan.FromTicks(runs.Sum(run => run.Loop.Now.Ticks)),
            OutputTokens = tokens,
            Events = runs.Sum(run => run.Loop.EventCount),
            TraceHash = runs[^1].Trace.ToString(),
        };
    }
}
