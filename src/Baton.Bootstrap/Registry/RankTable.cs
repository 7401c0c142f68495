namespace Baton.Bootstrap.Registry;

/// <summary>Rank endpoints and topology of one prefill group. Thread-safe; time is an argument.</summary>
/// <remarks>
/// A rank that is taken is given to a newcomer only when that is a restart, in one of two ways.
/// <list type="bullet">
/// <item>Baton workers send an incarnation (one random id per process). Another incarnation on a taken rank is a restarted worker: it
/// replaces the old one with all of that one's ranks, at once, and the old incarnation is refused from then on. So the last worker
/// that started wins, and two workers that were given the same ranks by mistake do not take them from each other for ever.</item>
/// <item>SGLang workers send none. Theirs is last writer wins, with one difference: within <c>clashWindow</c> (10 s) of a rank's
/// registration another endpoint is refused. SGLang retries for longer than that, so a crash at start still gets in, while two
/// workers that start together hear of their clash.</item>
/// </list>
/// The same registration again changes nothing, so a retry can never make a group look complete that is not.
/// </remarks>
public sealed class RankTable
{
    private const int MaxSuperseded = 1024;
    private readonly string _serverId;
    private readonly TimeSpan _clashWindow;
    private readonly Lock _lock = new();
    private readonly Dictionary<RankKey, Holder> _ranks = [];
    private readonly HashSet<string> _superseded = new(StringComparer.Ordinal);
    private readonly Queue<string> _supersededOrder = new();
    private GroupTopology? _topology;
    private int _replacements;
    private string _instanceId;
    private bool _isStopped;

    /// <param name="serverId">Differs between any two servers, also between two runs of one.</param>
    /// <param name="clashWindow">How long a registration without an incarnation is protected from another endpoint.</param>
    public RankTable(string serverId, TimeSpan clashWindow)
    {
        _serverId = serverId;
        _clashWindow = clashWindow;
        _instanceId = serverId;
    }

    /// <summary>Called after <see cref="InstanceId"/> changed, on the thread that changed it, outside the lock.</summary>
    public Action? InstanceChanged { get; set; }

    /// <summary>Changes whenever an endpoint or the topology that decode may have cached stops being true.</summary>
    public string InstanceId => Volatile.Read(ref _instanceId);

    public int RegisteredCount
    {
        get
        {
            lock (_lock) return _ranks.Count;
        }
    }

    /// <summary>How many ranks the group has, or 0 before the first registration.</summary>
    public long ExpectedCount
    {
        get
        {
            lock (_lock) return _topology?.RankCount ?? 0;
        }
    }

    /// <summary>The topology once every distinct rank has registered; null before.</summary>
    public GroupTopology? ReadyTopology
    {
        get
        {
            lock (_lock) return _topology is { } known && _ranks.Count >= known.RankCount ? known : null;
        }
    }

    /// <summary>The last worker took its ranks with it, and none has registered since. False before the first registration: that worker is still to come.</summary>
    public bool IsStopped => Volatile.Read(ref _isStopped);

    /// <summary>The dp size as soon as any rank told it; null before.</summary>
    public int? DpSize => Volatile.Read(ref _topology)?.DpSize;

    public RankEndpoint? Find(RankKey key)
    {
        lock (_lock) return _ranks.TryGetValue(key, out Holder holder) ? holder.Endpoint : null;
    }

    /// <summary>Takes one registration, or says why it clashes with what is there. A refusal changes nothing.</summary>
    /// <param name="incarnation">One per worker process; null from SGLang's workers.</param>
    public bool TryRegister(RankRegistration registration, string? incarnation, TimeSpan now, out string? conflict)
    {
        bool isReplaced;
        lock (_lock)
        {
            conflict = FindConflict(registration, incarnation, now, out HashSet<RankKey> replaced);
            if (conflict is not null) return false;
            Apply(registration, incarnation, now, replaced);
            isReplaced = replaced.Count > 0;
        }
        if (isReplaced) InstanceChanged?.Invoke();
        return true;
    }

    /// <summary>A worker stops and takes its ranks with it; those of other workers stay.</summary>
    /// <returns>How many ranks it had.</returns>
    public int Unregister(string incarnation)
    {
        RankKey[] mine;
        lock (_lock)
        {
            mine = [.. _ranks.Where(rank => rank.Value.Incarnation == incarnation).Select(rank => rank.Key)];
            if (mine.Length == 0) return 0;
            foreach (RankKey key in mine) _ranks.Remove(key);
            if (_ranks.Count == 0)
            {
                Volatile.Write(ref _topology, null);
                Volatile.Write(ref _isStopped, true);
            }
            ChangeInstance();
        }
        InstanceChanged?.Invoke();
        return mine.Length;
    }

    private string? FindConflict(RankRegistration registration, string? incarnation, TimeSpan now, out HashSet<RankKey> replaced)
    {
        replaced = [];
        RankKey key = registration.Key;
        if (incarnation is not null && _superseded.Contains(incarnation))
            return $"{key}: this worker (incarnation {incarnation}) was replaced by one that started later. Stop one of the two, or give each its own bootstrap server.";
        if (_ranks.TryGetValue(key, out Holder holder) && holder.Endpoint != registration.Endpoint)
        {
            if (incarnation is not null && holder.Incarnation == incarnation)
                return $"{key}: this worker registered {holder.Endpoint} before and now says {registration.Endpoint}. One rank has one endpoint as long as its worker lives.";
            if (incarnation is null && now - holder.At < _clashWindow)
                return $"{key} is taken by {holder.Endpoint} since {(now - holder.At).TotalSeconds:F1} s. A restarted worker may take it {_clashWindow.TotalSeconds:F0} s after that registration; two workers need two bootstrap servers.";
            replaced = [.. _ranks.Where(r => IsReplacedWith(r.Key, r.Value, key, holder)).Select(r => r.Key)];
        }
        else if (holder.Incarnation is not null && incarnation is not null && holder.Incarnation != incarnation)
        {
            // Same endpoint, another process: a restart that got its old port back. Its siblings are gone too.
            replaced = [.. _ranks.Where(r => r.Value.Incarnation == holder.Incarnation).Select(r => r.Key)];
        }
        return FindTopologyConflict(registration, incarnation, now, replaced);
    }

    private static bool IsReplacedWith(RankKey key, Holder other, RankKey newcomer, Holder holder) =>
        key == newcomer || (holder.Incarnation is not null && other.Incarnation == holder.Incarnation);

    private string? FindTopologyConflict(RankRegistration registration, string? incarnation, TimeSpan now, HashSet<RankKey> replaced)
    {
        if (_topology is null || _topology.ConflictWith(registration.Topology) is not { } difference) return null;
        // Another shape: a restart with other flags, if nobody remains who still has the old one. Ranks without an incarnation count
        // as gone once the clash window is over, because SGLang restarts all ranks of a group together.
        bool othersRemain = _ranks.Any(r => !replaced.Contains(r.Key)
            && (r.Value.Incarnation is not null || incarnation is not null || now - r.Value.At < _clashWindow));
        if (othersRemain) return $"{registration.Key}: the registered group disagrees, {difference}. All ranks of one bootstrap server need equal options.";
        replaced.UnionWith(_ranks.Keys);
        return null;
    }

    private void Apply(RankRegistration registration, string? incarnation, TimeSpan now, HashSet<RankKey> replaced)
    {
        foreach (RankKey key in replaced)
        {
            if (_ranks.Remove(key, out Holder gone) && gone.Incarnation is { } old && old != incarnation) Supersede(old);
        }
        if (replaced.Count > 0) ChangeInstance();
        GroupTopology? kept = _ranks.Count == 0 ? null : _topology;
        Volatile.Write(ref _topology, kept?.Merge(registration.Topology) ?? registration.Topology);
        _ranks[registration.Key] = new Holder(registration.Endpoint, incarnation, now);
        Volatile.Write(ref _isStopped, false);
    }

    /// <summary>How often <see cref="InstanceId"/> has changed.</summary>
    public int ChangeCount => Volatile.Read(ref _replacements);

    private void ChangeInstance() => Volatile.Write(ref _instanceId, $"{_serverId}.{++_replacements}");

    private void Supersede(string incarnation)
    {
        if (!_superseded.Add(incarnation)) return;
        _supersededOrder.Enqueue(incarnation);
        if (_supersededOrder.Count > MaxSuperseded) _superseded.Remove(_supersededOrder.Dequeue());
    }

    private readonly record struct Holder(RankEndpoint Endpoint, string? Incarnation, TimeSpan At);
}
