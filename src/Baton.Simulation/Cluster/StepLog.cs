using Baton.Core.Engine;
using Baton.Simulation.Events;

namespace Baton.Simulation.Cluster;

/// <summary>Writes what an engine is told to do into the event log.</summary>
internal sealed class StepLog(IEngine engine, string rank, EventLoop loop, EventLog log) : IEngine
{
    public EngineInfo Info => engine.Info;

    public void Execute(StepPlan plan, StepResult result)
    {
        (int closing, int imports, int chunks, int rows, int exports) = (plan.Closing.Count, plan.Imports.Count, plan.Chunks.Count, plan.Rows.Count, plan.Exports.Count);
        engine.Execute(plan, result);
        log.Detail(loop.Now, $"{rank} steps: {closing} closed, {imports} imported, {chunks} chunks, {rows} rows, {exports} exported, {result.Elapsed.TotalMilliseconds:0.###} ms");
    }

    public void Interrupt() => engine.Interrupt();

    public void Dispose() => engine.Dispose();
}
