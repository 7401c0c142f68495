using Baton.Core.Engine;
using Baton.Core.Engine.Simulated;

namespace Baton.Scheduling.Tests.Support;

/// <summary>The simulated engine, with a window on the plans that it gets and a way to make it fail.</summary>
internal sealed class ProbeEngine(SimulatedEngineOptions options) : IEngine
{
    private readonly SimulatedEngine _engine = new(options);

    public EngineInfo Info => _engine.Info;

    public int UsedCells => _engine.UsedCells;

    public int OpenSequences => _engine.OpenSequences;

    public Action<StepPlan>? Seen { get; set; }

    public Action<StepPlan, StepResult>? After { get; set; }

    public EngineException? Break { get; set; }

    public void Execute(StepPlan plan, StepResult result)
    {
        Seen?.Invoke(plan);
        if (Break is { } broken) throw broken;
        _engine.Execute(plan, result);
        After?.Invoke(plan, result);
    }

    /// <summary>For the test's own look at the cells.</summary>
    public void ExecuteQuietly(StepPlan plan, StepResult result) => _engine.Execute(plan, result);

    public void Interrupt() => _engine.Interrupt();

    public void Dispose() => _engine.Dispose();
}
