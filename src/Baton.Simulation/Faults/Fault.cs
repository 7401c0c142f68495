namespace Baton.Simulation.Faults;

public enum FaultKind
{
    /// <summary>The process ends and comes back <see cref="Fault.Until"/>.</summary>
    KillPrefill,
    KillDecode,
    /// <summary>A prefill and a decode worker cannot reach each other.</summary>
    Partition,
    /// <summary>The bootstrap server of a prefill worker answers nobody.</summary>
    DropBootstrap,
    SlowPrefill,
    SlowDecode,
    /// <summary>Frames between a prefill and a decode worker are lost, doubled or overtake each other, now and then.</summary>
    DropFrames,
    DuplicateFrames,
    ReorderFrames,
    /// <summary>A client hangs up.</summary>
    Abort,
}

/// <summary>One thing that goes wrong, from <paramref name="At"/> to <paramref name="Until"/>.</summary>
/// <param name="First">Number of the worker (prefill where there are two), or of the request.</param>
/// <param name="Second">Number of the decode worker where there are two.</param>
public readonly record struct Fault(FaultKind Kind, TimeSpan At, TimeSpan Until, int First, int Second, double Factor)
{
    public override string ToString() => Kind switch
    {
        FaultKind.KillPrefill => $"kill prefill {First} at {At.TotalSeconds:0.###}s, restart at {Until.TotalSeconds:0.###}s",
        FaultKind.KillDecode => $"kill decode {First} at {At.TotalSeconds:0.###}s, restart at {Until.TotalSeconds:0.###}s",
        FaultKind.Partition => $"partition prefill {First} decode {Second} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        FaultKind.DropBootstrap => $"drop bootstrap {First} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        FaultKind.Abort => $"abort request {First} at {At.TotalSeconds:0.###}s",
        FaultKind.SlowPrefill => $"slow prefill {First} x{Factor:0.#} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        FaultKind.SlowDecode => $"slow decode {First} x{Factor:0.#} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        FaultKind.DropFrames => $"drop link prefill {First} decode {Second} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        FaultKind.DuplicateFrames => $"duplicate link prefill {First} decode {Second} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
        _ => $"reorder link prefill {First} decode {Second} from {At.TotalSeconds:0.###}s to {Until.TotalSeconds:0.###}s",
    };
}
