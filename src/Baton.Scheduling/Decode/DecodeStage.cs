namespace Baton.Scheduling.Decode;

/// <summary>Where a request stands on a decode rank.</summary>
internal enum DecodeStage
{
    /// <summary>Prealloc queue: the resolver looks for the prefill rank.</summary>
    Resolving,
    /// <summary>Prealloc queue: the rank is known; waiting for a slot and cells.</summary>
    Reserving,
    /// <summary>Transfer queue: reserved and claimed; chunks come in.</summary>
    Transferring,
    /// <summary>Transfer queue: the claim went to the wrong rank, and the resolver looks up the right one's endpoint.</summary>
    Redirecting,
    /// <summary>Waiting queue: to compute its tokens here, because it was retracted or has no prefill half.</summary>
    Waiting,
    /// <summary>In the running batch.</summary>
    Running,
}
