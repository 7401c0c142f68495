namespace Baton.Router.Choice;

/// <summary>A compressed radix tree over prompt bytes that knows which candidate saw which prefix, and when last.</summary>
/// <remarks>Not thread-safe: its policy holds one lock around it. Stamps are a counter, not a clock.</remarks>
public sealed class PrefixTree
{
    private readonly Node _root = new([]);
    private readonly Dictionary<Candidate, long> _sizes = [];
    private long _stamp;

    private sealed class Node(byte[] label)
    {
        public byte[] Label { get; set; } = label;
        public Dictionary<byte, Node> Children { get; set; } = [];
        /// <summary>Who saw the text that ends here, with the stamp of the last use.</summary>
        public Dictionary<Candidate, long> Seen { get; set; } = [];
    }

    /// <summary>Bytes remembered for a candidate.</summary>
    public long SizeOf(Candidate candidate) => _sizes.GetValueOrDefault(candidate);

    /// <summary>The longest prefix of <paramref name="text"/> that one of <paramref name="candidates"/> saw; the most recent wins a tie.</summary>
    public (int MatchedBytes, Candidate? Owner) Match(ReadOnlySpan<byte> text, IReadOnlyList<Candidate> candidates)
    {
        (int matched, Candidate? owner) = (0, null);
        Node node = _root;
        int at = 0;
        while (at < text.Length && node.Children.TryGetValue(text[at], out Node? child))
        {
            int common = child.Label.AsSpan().CommonPrefixLength(text[at..]);
            if (MostRecent(child, candidates) is { } here) (matched, owner) = (at + common, here);
            at += common;
            if (common < child.Label.Length) break;
            node = child;
        }
        return (matched, owner);
    }

    /// <summary>Remembers that <paramref name="candidate"/> is given this text.</summary>
    public void Insert(ReadOnlySpan<byte> text, Candidate candidate)
    {
        long stamp = ++_stamp;
        Node node = _root;
        int at = 0;
        while (at < text.Length)
        {
            if (!node.Children.TryGetValue(text[at], out Node? child))
            {
                child = new Node(text[at..].ToArray());
                node.Children.Add(text[at], child);
            }
            int common = child.Label.AsSpan().CommonPrefixLength(text[at..]);
            if (common < child.Label.Length) child = Split(node, child, common);
            if (child.Seen.TryAdd(candidate, stamp)) _sizes[candidate] = SizeOf(candidate) + child.Label.Length;
            else child.Seen[candidate] = stamp;
            at += common;
            node = child;
        }
    }

    /// <summary>Cuts each candidate's least recently used ends until no more than <paramref name="maxBytes"/> are remembered for it.</summary>
    public void Evict(long maxBytes)
    {
        foreach (Candidate candidate in _sizes.Where(s => s.Value > maxBytes).Select(s => s.Key).ToArray())
        {
            while (SizeOf(candidate) > maxBytes)
            {
                List<(long Stamp, Node Node)> ends = [];
                CollectEnds(_root, candidate, ends);
                if (ends.Count == 0) break;
                foreach ((_, Node node) in ends.OrderBy(e => e.Stamp))
                {
                    if (SizeOf(candidate) <= maxBytes) break;
                    node.Seen.Remove(candidate);
                    _sizes[candidate] -= node.Label.Length;
                }
            }
        }
        Prune(_root);
    }

    public void Forget(Func<Candidate, bool> who)
    {
        Forget(_root, who);
        foreach (Candidate gone in _sizes.Keys.Where(who).ToArray()) _sizes.Remove(gone);
        Prune(_root);
    }

    private static Candidate? MostRecent(Node node, IReadOnlyList<Candidate> candidates)
    {
        (long best, Candidate? who) = (-1, null);
        for (int i = 0; i < candidates.Count; i++)
            if (node.Seen.TryGetValue(candidates[i], out long stamp) && stamp > best) (best, who) = (stamp, candidates[i]);
        return who;
    }

    private static Node Split(Node parent, Node child, int at)
    {
        Node front = new(child.Label[..at]) { Seen = new Dictionary<Candidate, long>(child.Seen) };
        child.Label = child.Label[at..];
        front.Children.Add(child.Label[0], child);
        parent.Children[front.Label[0]] = front;
        return front;
    }

    private static bool CollectEnds(Node node, Candidate candidate, List<(long, Node)> ends)
    {
        bool below = false;
        foreach (Node child in node.Children.Values) below |= CollectEnds(child, candidate, ends);
        if (!node.Seen.TryGetValue(candidate, out long stamp)) return below;
        if (!below) ends.Add((stamp, node));
        return true;
    }

    private static void Forget(Node node, Func<Candidate, bool> who)
    {
        foreach (Candidate gone in node.Seen.Keys.Where(who).ToArray()) node.Seen.Remove(gone);
        foreach (Node child in node.Children.Values) Forget(child, who);
    }

    private static void Prune(Node node)
    {
        foreach ((byte first, Node child) in node.Children.ToArray())
        {
            Prune(child);
            if (child.Seen.Count == 0 && child.Children.Count == 0) node.Children.Remove(first);
        }
    }
}
