using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Baton.Router.Rooms;

namespace Baton.Router.Choice;

/// <summary>Whom a new key of the <c>manual</c> policy is given to: <c>--assignment-mode</c>.</summary>
public enum AssignmentMode
{
    Random,
    /// <summary>The candidate with the least in flight.</summary>
    MinLoad,
    /// <summary>The candidate with the fewest keys.</summary>
    MinGroup,
}

/// <summary>A key stays where it was first sent, by a map and not by a hash: candidates that come later take nothing from the others.</summary>
/// <remarks>
/// A key has up to two owners, so that it has a place while the first one is away and finds back to either. Who was not asked for longer than
/// the idle time is forgotten, and beyond <see cref="MaxKeys"/> whoever was asked for least recently. Prefill and decode have a map each.
/// </remarks>
/// <param name="maxKeys">Smaller only in tests.</param>
public sealed class ManualPolicy(PolicyOptions options, RouterRandom random, int maxKeys = ManualPolicy.MaxKeys) : IRoutingPolicy
{
    /// <summary>A client invents its keys, so their number has an end.</summary>
    public const int MaxKeys = 1_000_000;
    // A header may be 32 KiB long, and a million of those are no map any more.
    private const int MaxKeyChars = 128;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _keys = new(StringComparer.Ordinal);
    // The least recently used first.
    private readonly LinkedList<Entry> _byUse = new();
    private readonly Dictionary<string, int> _groups = new(StringComparer.Ordinal);

    private sealed class Entry(string key)
    {
        public string Key => key;
        /// <summary>By name, the newest last.</summary>
        public List<string> Owners { get; } = new(2);
        public TimeSpan UsedAt { get; set; }
    }

    public string Name => "manual";

    /// <summary>Keys that are remembered.</summary>
    public int KeyCount
    {
        get
        {
            lock (_lock) return _keys.Count;
        }
    }

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        lock (_lock)
        {
            if (!request.IsDryRun) Sweep(request.Now);
            if (request.Key is not { Length: > 0 } sent) return new PolicyPick(Assign(candidates), "no_key");
            string key = sent.Length <= MaxKeyChars ? sent : Convert.ToHexString(SHA256.HashData(MemoryMarshal.AsBytes(sent.AsSpan())));
            LinkedListNode<Entry>? node = _keys.GetValueOrDefault(key);
            if (node is not null && Find(candidates, node.Value) is >= 0 and var owner)
            {
                if (!request.IsDryRun) Touch(node, request.Now);
                return new PolicyPick(owner, "sticky");
            }
            int chosen = Assign(candidates);
            if (!request.IsDryRun) Own(node, key, candidates[chosen].ToString(), request.Now);
            return new PolicyPick(chosen, node is null ? "assigned" : "reassigned");
        }
    }

    private static int Find(IReadOnlyList<Candidate> candidates, Entry entry)
    {
        for (int o = entry.Owners.Count - 1; o >= 0; o--)
            for (int i = 0; i < candidates.Count; i++)
                if (candidates[i].ToString() == entry.Owners[o]) return i;
        return -1;
    }

    private int Assign(IReadOnlyList<Candidate> candidates)
    {
        if (options.AssignmentMode == AssignmentMode.Random) return random.NextBelow(candidates.Count);
        int best = 0, least = int.MaxValue, ties = 0;
        for (int i = 0; i < candidates.Count; i++)
        {
            int figure = options.AssignmentMode == AssignmentMode.MinLoad ? candidates[i].Load : _groups.GetValueOrDefault(candidates[i].ToString());
            if (figure > least) continue;
            ties = figure < least ? 1 : ties + 1;
            // Each of the equals is as likely as the others.
            if (ties == 1 || random.NextBelow(ties) == 0) best = i;
            least = figure;
        }
        return best;
    }

    private void Own(LinkedListNode<Entry>? node, string key, string owner, TimeSpan now)
    {
        if (node is null)
        {
            if (_keys.Count == maxKeys) Drop(_byUse.First!);
            _keys[key] = node = _byUse.AddLast(new Entry(key));
        }
        Entry entry = node.Value;
        if (entry.Owners.Count > 0) Count(entry.Owners[^1], -1);
        if (entry.Owners.Count == 2) entry.Owners.RemoveAt(0);
        entry.Owners.Add(owner);
        Count(owner, 1);
        Touch(node, now);
    }

    private void Touch(LinkedListNode<Entry> node, TimeSpan now)
    {
        node.Value.UsedAt = now;
        _byUse.Remove(node);
        _byUse.AddLast(node);
    }

    private void Sweep(TimeSpan now)
    {
        while (_byUse.First is { } oldest && now - oldest.Value.UsedAt > options.ManualIdle) Drop(oldest);
    }

    private void Drop(LinkedListNode<Entry> node)
    {
        _byUse.Remove(node);
        _keys.Remove(node.Value.Key);
        Count(node.Value.Owners[^1], -1);
    }

    private void Count(string owner, int more)
    {
        int count = _groups.GetValueOrDefault(owner) + more;
        if (count == 0) _groups.Remove(owner);
        else _groups[owner] = count;
    }
}
