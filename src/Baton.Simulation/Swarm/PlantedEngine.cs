using Baton.Core.Engine;

namespace Baton.Simulation.Swarm;

/// <summary>An engine with <see cref="Plant.KeepCells"/> or <see cref="Plant.DoubleToken"/>.</summary>
internal sealed class PlantedEngine(IEngine engine, Plant plant) : IEngine
{
    private int _count;

    public EngineInfo Info => engine.Info;

    public void Execute(StepPlan plan, StepResult result)
    {
        if (plant == Plant.KeepCells) plan.Closing.RemoveAll(_ => ++_count % 3 == 0);
        engine.Execute(plan, result);
        if (plant != Plant.DoubleToken) return;
        for (int i = result.Samples.Count - 1; i >= 0; i--)
        {
            if (++_count % 10 == 0) result.Samples.Insert(i, result.Samples[i]);
        }
    }

    public void Interrupt() => engine.Interrupt();

    public void Dispose() => engine.Dispose();
}
