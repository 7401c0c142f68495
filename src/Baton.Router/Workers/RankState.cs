namespace Baton.Router.Workers;

/// <summary>What this router has in flight on one rank of one worker. Atomic counters; every credit taken is returned once.</summary>
public sealed class RankLedger
{
    private int _requests;
    private long _promptTokens;
    private long _sent;

    /// <summary>Sequences in flight.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Estimated prompt tokens of those sequences.</summary>
    public long PromptTokens => Volatile.Read(ref _promptTokens);

    /// <summary>Sequences ever sent.</summary>
    public long Sent => Volatile.Read(ref _sent);

    public void Take(int sequences, int promptTokens)
    {
        Interlocked.Add(ref _requests, sequences);
        Interlocked.Add(ref _promptTokens, promptTokens);
        Interlocked.Add(ref _sent, sequences);
    }

    public void Return(int sequences, int promptTokens)
    {
        Interlocked.Add(ref _requests, -sequences);
        Interlocked.Add(ref _promptTokens, -promptTokens);
    }
}
