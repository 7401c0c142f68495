using Baton.Core.Ids;

namespace Baton.Router.Rooms;

/// <summary>How rooms are drawn: <c>--room-mode</c>.</summary>
public enum RoomMode
{
    /// <summary><c>room % prefill_dp_size</c> equals the prefill rank, so a worker under <c>follow_bootstrap_room</c> agrees with the router.</summary>
    Aligned,
    /// <summary>Uniform, as SGLang's own balancers draw.</summary>
    Random,
}

/// <summary>Draws bootstrap rooms: one per sequence, never 0, never one that is younger than the bootstrap servers' memory.</summary>
/// <remarks>Thread-safe. Time comes as an argument, on any monotonic scale, so a simulator draws from the same class.</remarks>
/// <param name="maxRoom">Largest room to draw; smaller only in tests.</param>
public sealed class RoomIssuer(RoomMode mode, RouterRandom random, ulong maxRoom = BootstrapRoom.MaxValue)
{
    /// <summary>SGLang's bootstrap server keeps an entry for 120 s (and sweeps later): a room that comes back sooner may meet a ghost.</summary>
    public static readonly TimeSpan Memory = TimeSpan.FromSeconds(120);

    private readonly Lock _lock = new();
    private HashSet<ulong> _young = [];
    private HashSet<ulong> _old = [];
    private TimeSpan _youngSince;

    /// <summary>Draws that met a remembered room and were repeated.</summary>
    public long Collisions { get; private set; }

    /// <summary>A room for a sequence whose prompt is computed on <paramref name="prefillRank"/>.</summary>
    /// <param name="prefillRank">Null when the prefill worker chooses; then any room will do.</param>
    /// <param name="prefillDpSize">At least 1.</param>
    public BootstrapRoom Draw(int? prefillRank, int prefillDpSize, TimeSpan now)
    {
        bool align = mode == RoomMode.Aligned && prefillRank is not null && prefillDpSize > 1;
        (ulong rank, ulong size) = align ? ((ulong)prefillRank!.Value, (ulong)prefillDpSize) : (0, 1);
        lock (_lock)
        {
            Forget(now);
            while (true)
            {
                ulong room = random.NextBelow((maxRoom - rank) / size + 1) * size + rank;
                if (room == 0) continue;
                if (!_old.Contains(room) && _young.Add(room)) return new BootstrapRoom(room);
                Collisions++;
            }
        }
    }

    // Two generations instead of a queue of times: a room is remembered for one to two periods, and forgetting is a swap.
    private void Forget(TimeSpan now)
    {
        if (now - _youngSince < Memory) return;
        (_old, _young) = now - _youngSince < 2 * Memory ? (_young, _old) : ([], _old);
        _young.Clear();
        _youngSince = now;
    }
}
