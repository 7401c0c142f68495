using Baton.Core.Randomness;

namespace Baton.Simulation.Events;

/// <summary>A hash over everything that happened, in its order. Two runs with the same seed and configuration have the same.</summary>
public sealed class TraceHash
{
    private ulong _value = 0x42_61_74_6f_6e;

    public void Add(TimeSpan at, ulong what, ulong who) =>
        _value = SeededRandom.Mix(_value * 31 + SeededRandom.Mix((ulong)at.Ticks ^ SeededRandom.Mix(what + SeededRandom.Mix(who))));

    public override string ToString() => $"{_value:x16}";
}
