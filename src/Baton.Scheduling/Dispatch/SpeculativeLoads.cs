using Baton.Core.Ranks;
using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Dispatch;

/// <summary>SGLang's view of its ranks for total_requests and total_tokens: a snapshot now and then, and guesses in between.</summary>
/// <remarks>
/// Kept exactly as SGLang does it, so that its methods can be compared with Baton's: ranks are read at most once an interval, a
/// snapshot that is no newer is skipped, and a newer one overwrites what was guessed, including requests that it has not seen yet.
/// </remarks>
internal sealed class SpeculativeLoads(IReadOnlyList<IRank> ranks, TimeSpan interval)
{
    private readonly Entry[] _entries = new Entry[ranks.Count];
    private TimeSpan? _readAt;

    public int TakeFewestRequests(TimeSpan now, Func<int, bool> isAvailable)
    {
        Refresh(now);
        int best = -1;
        for (int i = 0; i < _entries.Length; i++)
        {
            if (isAvailable(i) && (best < 0 || _entries[i].Requests < _entries[best].Requests)) best = i;
        }
        if (best >= 0) _entries[best].Requests++;
        return best;
    }

    public int TakeFewestTokens(TimeSpan now, int promptTokens, Func<int, bool> isAvailable)
    {
        Refresh(now);
        int best = -1;
        for (int i = 0; i < _entries.Length; i++)
        {
            if (!isAvailable(i)) continue;
            if (best < 0 || (_entries[i].Tokens, _entries[i].Requests).CompareTo((_entries[best].Tokens, _entries[best].Requests)) < 0) best = i;
        }
        if (best < 0) return -1;
        _entries[best].Requests++;
        _entries[best].Tokens += promptTokens;
        return best;
    }

    private void Refresh(TimeSpan now)
    {
        if (_readAt is { } readAt && now - readAt < interval) return;
        _readAt = now;
        for (int i = 0; i < _entries.Length; i++)
        {
            RankLoad load = ranks[i].Load;
            if (load.StepCount == 0 || load.At == _entries[i].SeenAt) continue;
            _entries[i] = new Entry { SeenAt = load.At, Requests = load.RunningRequests + load.WaitingRequests, Tokens = load.TotalTokens };
        }
    }

    private struct Entry
    {
        public TimeSpan? SeenAt;
        public long Requests;
        public long Tokens;
    }
}
