using System.ComponentModel.DataAnnotations;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Core.Ranks;
using Baton.Scheduling.Dispatch;
using Baton.Scheduling.Unified;
using Baton.Serving.Disaggregation;
using Baton.Serving.Requests;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>Puts a worker together: model, engines, ranks, threads, controller, and what its role needs beside them.</summary>
public static class WorkerBuilder
{
    /// <summary>Loads the model and starts the ranks. Takes as long as the model does; nothing listens for clients yet.</summary>
    /// <param name="httpPort">Where clients reach this worker; 0 for none.</param>
    /// <exception cref="ValidationException">An option is out of range; the message names it.</exception>
    /// <exception cref="EngineException">The model cannot be served.</exception>
    /// <exception cref="InvalidOperationException">A port is taken.</exception>
    public static Task<Worker> BuildAsync(ServeOptions options, int httpPort, TimeProvider time, ILoggerFactory loggers, CancellationToken ct) =>
        BuildAsync(options, EngineSource.Load, httpPort, time, loggers, ct);

    internal static async Task<Worker> BuildAsync(
        ServeOptions options, LoadEngines load, int httpPort, TimeProvider time, ILoggerFactory loggers, CancellationToken ct)
    {
        options.Validate();
        SeededRandom random = new(options.RandomSeed);
        WorkerClock clock = new(time);
        WorkerParts? parts = null;
        ServingMetrics metrics = new(() => parts?.Ranks.Select(rank => rank.Rank.Load) ?? []);
        parts = new WorkerParts { Options = options, Clock = clock, InstanceId = $"{random.NextUInt64():x16}", Metrics = metrics };
        parts.Own(metrics);
        List<IEngine> engines = [];
        try
        {
            EngineSource source = await Task.Run(() => load(options, time, loggers.CreateLogger("Baton.LlamaCpp")), ct);
            parts.Own(source);
            RankWake[] wakes = [.. Enumerable.Range(0, options.DpSize).Select(_ => new RankWake())];
            for (int rank = 0; rank < options.DpSize; rank++) engines.Add(source.CreateEngine());
            LoadBalanceMethod method = options.LoadBalanceMethod ?? DpControllerOptions.Auto;
            RoleInputs inputs = new(options, parts, engines, wakes, random, time, loggers);
            RoleRanks ranks = options.Role switch
            {
                WorkerRole.Prefill => await PrefillRole.BuildAsync(inputs, method, httpPort, ct),
                WorkerRole.Decode => DecodeRole.Build(inputs),
                _ => UnifiedRanks(options, engines),
            };
            parts.Rooms = ranks.Rooms;
            ILogger rankLogger = loggers.CreateLogger<RankThread>();
            for (int rank = 0; rank < options.DpSize; rank++)
                parts.Ranks.Add(new RankThread(ranks.Ranks[rank], wakes[rank], clock, source.SimulatedTimeScale, rankLogger));
            DpController controller = new(ranks.Ranks, new DpControllerOptions
            {
                Role = options.Role,
                Method = method,
                ForceQueryPrefillDpRank = options.ForceQueryPrefillDpRank,
            }, ranks.Rooms);
            CallContext calls = new(source.Text, engines[0].Info, options.Role, options.DpSize, options.Limits, random.NextUInt64())
            {
                DefaultBootstrapPort = parts.Bootstrap?.Port ?? options.BootstrapPort,
                IsFakeBackend = options.IsFakeBackend,
            };
            return new Worker(parts, controller, calls, loggers.CreateLogger<Worker>());
        }
        catch
        {
            foreach (RankThread rank in parts.Ranks) rank.Dispose();
            // Without a thread an engine has no owner yet.
            for (int rank = parts.Ranks.Count; rank < engines.Count; rank++) engines[rank].Dispose();
            await parts.DisposeAsync();
            throw;
        }
    }

    private static RoleRanks UnifiedRanks(ServeOptions options, List<IEngine> engines) =>
        new([.. engines.Select((engine, rank) => new UnifiedRank(new DpRank(rank), engine, options.ToScheduler()))], Rooms: null);
}
