using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Scheduling;
using Baton.Scheduling.Decode;
using Baton.Scheduling.Ranks;
using Baton.Simulation.Events;
using Baton.Simulation.Swarm;
using Baton.Transfer;
using Baton.Transfer.Links;
using Baton.Transfer.Sending;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Simulation.Cluster;

/// <summary>What a checker adds to a cluster: ears for error logs, a log of events, checks at the seams, and bugs to find.</summary>
internal sealed record ClusterProbes
{
    public static readonly ClusterProbes None = new();

    public Plant Plant { get; init; }

    /// <summary>Hears what production code logs as an error.</summary>
    public Action<string>? Alarm { get; init; }

    public EventLog? Log { get; init; }

    public ILogger<T> Logger<T>() => Alarm is null ? NullLogger<T>.Instance : new AlarmLogger<T>(Alarm);

    /// <summary>Puts a checker between a decode rank and both its engine and its receiver.</summary>
    public (IEngine Engine, IKvReceiver Receiver) WatchDecode(IEngine engine, IKvReceiver receiver, string rank)
    {
        if (Alarm is null) return (engine, receiver);
        HandoverCheck check = new(rank);
        return (new CheckedEngine(engine, check), new CheckedReceiver(receiver, check));
    }

    /// <summary>Writes the steps of a rank into a detailed log.</summary>
    public static IEngine LogSteps(IEngine engine, string rank, EventLoop loop, EventLog log) => log.IsDetailed ? new StepLog(engine, rank, loop, log) : engine;

    public IEngine Plants(IEngine engine) => Plant is Plant.KeepCells or Plant.DoubleToken ? new PlantedEngine(engine, Plant) : engine;

    public IKvSender Plants(IKvSender sender) => Plant is Plant.IgnoreWindow or Plant.WrongFirstToken ? new PlantedSender(sender, Plant) : sender;

    public IKvReceiver Plants(IKvReceiver receiver) =>
        Plant is Plant.CorruptChunk or Plant.SwapChunks or Plant.SwallowAck ? new PlantedReceiver(receiver, Plant) : receiver;

    public GenerationRequest Plants(GenerationRequest request) =>
        Plant is Plant.SwallowEnd or Plant.EndTwice or Plant.ReportWrongRank or Plant.NoReason ? request with { Sink = new PlantedSink(request.Sink, Plant) } : request;

    public KvSender MakeSender(KvInbox inbox, KvIdentity self, TransferOptions options, Func<BootstrapRoom, DpRank?> directory) => Plant == Plant.ReviveRoom
        ? new RevivingSender(inbox, self, options, directory, Logger<KvSender>())
        : new KvSender(inbox, self, options, directory, Logger<KvSender>());

    public DecodeRank MakeDecodeRank(DpRank rank, IEngine engine, IKvReceiver receiver, IRankResolver resolver, SchedulerOptions options)
    {
        if (Plant is not (Plant.SkipCoverage or Plant.ForgetCells or Plant.UnboundedQueue)) return new DecodeRank(rank, engine, receiver, resolver, options);
        RankInbox inbox = new(rank, Plant == Plant.UnboundedQueue ? int.MaxValue : options.InboxCapacity(engine.Info));
        return new DecodeRank(inbox, engine, receiver, new PlantedDecodeScheduler(Plant, engine.Info, options, inbox, receiver, resolver));
    }
}
