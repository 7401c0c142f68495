using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Ttft;

/// <summary>Runs the production schedulers, dispatcher, resolver and hand-over through #14726's experiment.</summary>
public static class TtftExperiment
{
    // Baton's own chunk; in lockstep a step takes whole prompts.
    private const int IndependentChunk = 250;

    /// <summary>Every rate and method, averaged over the arrival seeds.</summary>
    public static TtftTable Run(TtftSettings settings, CancellationToken ct = default)
    {
        (double Rate, LoadBalanceMethod? Method)[] cells = [.. settings.Rates.SelectMany(rate => TtftSettings.Methods.Select(method => (rate, method)))];
        TtftCell[] results = new TtftCell[cells.Length];
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = ct };
        Parallel.For(0, cells.Length, parallel, i => results[i] = RunCell(settings, cells[i].Rate, cells[i].Method, ct));
        return new TtftTable(settings, results);
    }

    /// <summary>One rate and method over all arrival seeds.</summary>
    public static TtftCell RunCell(TtftSettings settings, double rate, LoadBalanceMethod? method, CancellationToken ct = default)
    {
        List<double> means = [], all = [];
        for (int i = 0; i < settings.ArrivalSeeds; i++)
        {
            ct.ThrowIfCancellationRequested();
            double[] ttfts = RunOnce(settings, rate, method, settings.Seed + (ulong)i, out _);
            means.Add(ttfts.Average());
            all.AddRange(ttfts);
        }
        return TtftCell.Of(rate, method, means, all);
    }

    /// <summary>One run.</summary>
    /// <returns>TTFT of each request in milliseconds.</returns>
    public static double[] RunOnce(TtftSettings settings, double rate, LoadBalanceMethod? method, ulong seed, out string trace)
    {
        ArrivalProcess arrivals = new ArrivalProcess.Poisson(rate);
        Workload workload = Scale(Workload.Draw(settings.Requests, arrivals, settings.Lengths, new LengthDistribution.Fixed(settings.OutputTokens), seed), settings.TokenScale);
        SimulatedCluster cluster = new(new EventLoop(), Options(settings, method), seed);
        cluster.Play(workload, TimeSpan.FromHours(24));
        trace = cluster.Trace.ToString();
        if (cluster.Records.FirstOrDefault(r => r.Failure is not null) is { } failed) throw new InvalidOperationException($"request {failed.Index}: {failed.Failure}");
        if (cluster.EndedCount < settings.Requests) throw new InvalidOperationException($"{settings.Requests - cluster.EndedCount} requests had not ended after a day.");
        return [.. cluster.Records.Select(r => r.Ttft!.Value.TotalMilliseconds)];
    }

    /// <summary>Lengths in simulated tokens.</summary>
    private static Workload Scale(Workload workload, int scale) => workload with
    {
        Requests = [.. workload.Requests.Select(r => r with { PromptTokens = Math.Max(1, (r.PromptTokens + scale / 2) / scale) })],
    };

    /// <summary>Costs of an engine whose tokens are so many real ones each.</summary>
    private static CostModel Scale(CostModel engine, int scale) => engine with
    {
        PromptTokenMs = engine.PromptTokenMs * scale,
        AttentionMs = engine.AttentionMs * scale * scale,
        CopyTokenMs = engine.CopyTokenMs * scale,
        RowContextMs = engine.RowContextMs * scale,
    };

    private static ClusterOptions Options(TtftSettings settings, LoadBalanceMethod? method)
    {
        PrefillCost cost = settings.Cost;
        bool isLockstep = settings.Steps == StepModel.Lockstep;
        int longest = 1 << 16;
        int chunk = isLockstep ? cost.PromptsPerStep * TtftSettings.PromptTokens / settings.TokenScale : Math.Max(1, IndependentChunk / settings.TokenScale);
        SimulatedEngineOptions prefill = new()
        {
            ContextTokens = longest,
            CellCount = 1 << 24,
            MaxSequences = 4096,
            MaxBatchTokens = chunk,
            VocabSize = 1000,
            // A step's own cost is shared by the prompts of a lockstep step; small chunks would each pay it, so there it is a prompt's.
            Cost = settings.Engine is { } engine ? Scale(engine, settings.TokenScale) : CostModel.Free with
            {
                PromptTokenMs = (cost.SecondsPerPrompt + (isLockstep ? 0 : cost.SecondsPerStep)) * 1000 * settings.TokenScale / TtftSettings.PromptTokens,
                FixedMs = isLockstep ? cost.SecondsPerStep * 1000 : 0,
            },
        };
        return new ClusterOptions
        {
            PrefillDpSize = settings.Ranks,
            PrefillMethod = method,
            PrefillSteps = settings.Steps,
            PrefillEngine = prefill,
            PrefillScheduler = new SchedulerOptions { ChunkedPrefillSize = chunk, MaxQueuedRequests = 100_000, MaxExportsPerStep = 10_000, WaitingTimeout = TimeSpan.FromDays(1) },
            // The published experiment is about prefill, and says nothing of what decode costs. An engine's own costs are known for both.
            DecodeEngine = prefill with { Cost = settings.Engine is null ? CostModel.Free : prefill.Cost, MaxBatchTokens = 8192 },
            DecodeScheduler = new SchedulerOptions { ChunkedPrefillSize = chunk, MaxQueuedRequests = 100_000, MaxImportsPerStep = 10_000, WaitingTimeout = TimeSpan.FromDays(1) },
        };
    }
}
