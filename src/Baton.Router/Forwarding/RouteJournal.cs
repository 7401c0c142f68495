using Baton.Router.Bodies;
using Baton.Router.Choice;

namespace Baton.Router.Forwarding;

/// <summary>The last decisions, for <c>GET /routes/recent</c>: a ring, so its memory is fixed.</summary>
public sealed class RouteJournal(int capacity = 1000)
{
    private readonly RouteEntry?[] _ring = new RouteEntry?[capacity];
    private long _next;

    public RouteEntry Add(string requestId, RequestFacts facts, Route route, int attempt, TimeSpan now)
    {
        long number = Interlocked.Increment(ref _next) - 1;
        RouteEntry entry = new(number, requestId, facts, route, attempt, now);
        Volatile.Write(ref _ring[number % capacity], entry);
        return entry;
    }

    /// <summary>Newest first.</summary>
    public IReadOnlyList<RouteEntry> Recent(int limit)
    {
        List<RouteEntry> found = new(Math.Min(limit, capacity));
        long newest = Volatile.Read(ref _next) - 1;
        for (long number = newest; number >= 0 && number > newest - capacity && found.Count < limit; number--)
            if (Volatile.Read(ref _ring[number % capacity]) is { } entry) found.Add(entry);
        return found;
    }
}

/// <summary>One attempt's decision and how it ended.</summary>
public sealed class RouteEntry(long number, string requestId, RequestFacts facts, Route route, int attempt, TimeSpan at)
{
    private string? _outcome;
    private long _tookTicks = -1;

    public long Number => number;
    public string RequestId => requestId;
    public string Endpoint => facts.Endpoint.Path;
    public string? Model => facts.Model;
    public bool Stream => facts.Stream;
    public int Sequences => facts.SequenceCount;
    public int PromptTokens => facts.PromptTokens;
    public string? Prefill => route.Prefill?.ToString();
    public string Decode => route.Decode.ToString();
    public string PrefillBranch => route.PrefillPick.Branch;
    public string DecodeBranch => route.DecodePick.Branch;
    /// <summary>A string: rooms exceed what a browser's numbers hold.</summary>
    public string? Room => route.FirstRoom?.Value.ToString();
    public int Attempt => attempt;
    /// <summary>Seconds on the router's clock.</summary>
    public double AtSeconds => at.TotalSeconds;
    /// <summary><c>ok</c>, an error code, or null while it runs.</summary>
    public string? Outcome => Volatile.Read(ref _outcome);
    public double? TookMs => Volatile.Read(ref _tookTicks) is var ticks and >= 0 ? TimeSpan.FromTicks(ticks).TotalMilliseconds : null;

    internal void End(string outcome, TimeSpan now)
    {
        Volatile.Write(ref _tookTicks, (now - at).Ticks);
        Volatile.Write(ref _outcome, outcome);
    }
}
