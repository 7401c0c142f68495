using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Resolution;
using Baton.Scheduling;
using Baton.Scheduling.Decode;
using Baton.Scheduling.Ranks;

namespace Baton.Simulation.Swarm;

/// <summary>A decode scheduler with <see cref="Plant.SkipCoverage"/> or <see cref="Plant.ForgetCells"/>.</summary>
internal sealed class PlantedDecodeScheduler(
    Plant plant, EngineInfo engine, SchedulerOptions options, RankInbox inbox, IKvReceiver receiver, IRankResolver resolver)
    : DecodeScheduler(engine, options, inbox, receiver, resolver)
{
    private int _released;

    internal override bool IsHandedOver(DecodeSequence sequence) => plant == Plant.SkipCoverage ? sequence.First is not null : base.IsHandedOver(sequence);

    internal override void Release(DecodeSequence sequence)
    {
        if (plant != Plant.ForgetCells || ++_released % 3 != 0) base.Release(sequence);
    }
}
