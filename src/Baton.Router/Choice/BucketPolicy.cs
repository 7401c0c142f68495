namespace Baton.Router.Choice;

/// <summary>Prefill only: gives each candidate an interval of prompt lengths, so long prompts do not wait behind each other everywhere.</summary>
/// <remarks>
/// A sliding window of what was sent where moves the borders to equal shares of characters; a window out of balance goes to the
/// candidate with the least. Borders cover the candidates at hand only, so a choice is always one of them.
/// </remarks>
public sealed class BucketPolicy(PolicyOptions options) : IRoutingPolicy
{
    // Borders before anything was learned divide [0, 4096); the last interval is open.
    private const int FirstSpread = 4096;
    private const double RelativeThreshold = 1.0001;
    private readonly Lock _lock = new();
    private readonly Queue<(TimeSpan At, int Chars, Candidate Where)> _window = new();
    private Candidate[] _members = [];
    private int[] _borders = [];
    private TimeSpan _adjusted;
    private double _mean;

    public string Name => "bucket";

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        lock (_lock)
        {
            while (_window.TryPeek(out (TimeSpan At, int, Candidate) oldest) && request.Now - oldest.At > options.BucketInterval) _window.Dequeue();
            if (!_members.AsSpan().SequenceEqual([.. candidates])) Spread([.. candidates]);
            if (request.Now - _adjusted >= options.BucketInterval) Adjust(request.Now);
            int chars = Math.Max(request.Facts.PromptChars, request.Facts.PromptTokens);
            PolicyPick pick = PickWithin(candidates, chars);
            if (!request.IsDryRun) _window.Enqueue((request.Now, chars, candidates[pick.Index]));
            return pick;
        }
    }

    private PolicyPick PickWithin(IReadOnlyList<Candidate> candidates, int chars)
    {
        long[] sent = new long[candidates.Count];
        foreach ((_, int length, Candidate where) in _window)
        {
            int index = Array.IndexOf(_members, where);
            if (index >= 0) sent[index] += length;
        }
        (long min, long max) = (sent.Min(), sent.Max());
        if (max - min > options.BalanceAbsThreshold && max > RelativeThreshold * min) return new PolicyPick(Array.IndexOf(sent, min), "least_chars");
        int bucket = 0;
        while (bucket < _borders.Length && chars >= _borders[bucket]) bucket++;
        return new PolicyPick(bucket, "bucket");
    }

    private void Spread(Candidate[] members)
    {
        _members = members;
        _borders = [.. Enumerable.Range(1, members.Length - 1).Select(i => FirstSpread * i / members.Length)];
        _mean = 0;
    }

    private void Adjust(TimeSpan now)
    {
        _adjusted = now;
        if (_window.Count == 0) return;
        double mean = (double)_window.Sum(w => (long)w.Chars) / _members.Length;
        if (_mean > 0 && mean <= 2 * _mean && mean >= _mean / 2) return;
        _mean = mean;
        int[] lengths = [.. _window.Select(w => w.Chars).Order()];
        double share = lengths.Sum(l => (long)l) / (double)_members.Length, sum = 0;
        List<int> borders = [];
        foreach (int length in lengths)
        {
            sum += length;
            while (borders.Count < _members.Length - 1 && sum >= share * (borders.Count + 1)) borders.Add(length);
        }
        while (borders.Count < _members.Length - 1) borders.Add(lengths[^1]);
        _borders = [.. borders];
    }
}
