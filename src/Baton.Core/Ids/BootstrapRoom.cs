namespace Baton.Core.Ids;

/// <summary>Rendezvous key that the prefill half and the decode half of one sequence share.</summary>
/// <remarks>
/// Drawn by the router from [1, 2^63-1], so a peer that reads it as signed sees the same number. 0 is SGLang's "not written"
/// mark and only ever names a health check or a warm-up. Values exceed 2^53: in JSON a room is an integer that never passes
/// through a double, and a string in every page that a browser reads.
/// </remarks>
public readonly record struct BootstrapRoom(ulong Value)
{
    /// <summary>The largest room: 2^63-1.</summary>
    public const ulong MaxValue = long.MaxValue;

    public static bool IsValid(ulong value) => value <= MaxValue;

    /// <summary>The prefill rank that <c>follow_bootstrap_room</c> implies.</summary>
    public DpRank Modulo(int dpSize) => new((int)(Value % (ulong)dpSize));

    public override string ToString() => $"room-{Value:x16}";
}
