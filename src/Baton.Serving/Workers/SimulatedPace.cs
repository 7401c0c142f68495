namespace Baton.Serving.Workers;

/// <summary>When a simulated engine's steps end: a schedule of its own, so that what a timer oversleeps in one step is made up in the next.</summary>
/// <remarks>Idle time is not made up: without <see cref="Idle"/> the first step after a short pause would begin in the past and end too early.</remarks>
public sealed class SimulatedPace
{
    /// <summary>A rank that is further behind was not kept from its core by a timer, and goes on from where it is.</summary>
    public static readonly TimeSpan LongestDebt = TimeSpan.FromMilliseconds(20);

    private TimeSpan _until = TimeSpan.MinValue;

    /// <summary>When the step that begins now is to end.</summary>
    public TimeSpan EndOfStep(TimeSpan now, TimeSpan cost) => _until = (_until > now - LongestDebt ? _until : now) + cost;

    /// <summary>The rank had nothing to do for so long.</summary>
    public void Idle(TimeSpan length)
    {
        if (_until != TimeSpan.MinValue) _until += length;
    }
}
