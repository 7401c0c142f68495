namespace Baton.Bootstrap.Registry;

/// <summary>Everything a bootstrap server knows: the ranks of one prefill group, and which of them works on which room.</summary>
/// <remarks>In memory only, no I/O and no clock of its own. <see cref="Ranks"/> and <see cref="Rooms"/> are independent of each other.</remarks>
public sealed class BootstrapTable(string serverId, TimeSpan clashWindow, RoomTableOptions rooms)
{
    /// <summary>Long enough for the ranks of one start to arrive, shorter than SGLang's five tries (about 11 s).</summary>
    public static readonly TimeSpan DefaultClashWindow = TimeSpan.FromSeconds(10);

    public RankTable Ranks { get; } = new(serverId, clashWindow);

    public RoomTable Rooms { get; } = new(rooms);
}
