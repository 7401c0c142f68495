namespace Baton.Core.Failures;

/// <summary>Why a request ended without success. Each value has one row in <see cref="FailureReasons"/>.</summary>
/// <remarks>The numbers travel in KV hand-over frames: append, never renumber.</remarks>
public enum FailureReason : byte
{
    None = 0,
    /// <summary>The client closed its connection or asked for the abort.</summary>
    Aborted = 1,
    InvalidRequest = 2,
    /// <summary>The prompt, or prompt plus new tokens, can never fit this worker.</summary>
    PromptTooLong = 3,
    /// <summary>A bounded queue was full.</summary>
    QueueFull = 4,
    /// <summary>Prefill: nobody claimed the room in time.</summary>
    BootstrapTimeout = 5,
    /// <summary>Decode: the topology or the rank was not known in time.</summary>
    ResolveTimeout = 6,
    /// <summary>Decode: the bootstrap server is not reachable.</summary>
    BootstrapUnreachable = 7,
    /// <summary>Decode: claimed, but the KV cache did not arrive in time.</summary>
    TransferTimeout = 8,
    /// <summary>The KV link broke.</summary>
    LinkLost = 9,
    /// <summary>The peer broke the hand-over protocol, or its data failed a check.</summary>
    TransferCorrupt = 10,
    /// <summary>The handshake found different models, engine options or protocol versions, or a wrong secret.</summary>
    PeerMismatch = 11,
    /// <summary>The routed rank and <c>room % dp_size</c> disagree under <c>follow_bootstrap_room</c>.</summary>
    RankConflict = 12,
    /// <summary>A rank number is outside [0, dp_size).</summary>
    RankOutOfRange = 13,
    /// <summary>The rank that was asked for is dead or draining.</summary>
    RankUnavailable = 14,
    /// <summary>The prefill worker does not know the room (finished, failed or never seen).</summary>
    UnknownRoom = 15,
    /// <summary>The peer worker failed the request; its text is passed on.</summary>
    PeerFailed = 16,
    /// <summary>The engine refused or produced NaN.</summary>
    EngineError = 17,
    /// <summary>No KV cells, and none will come free.</summary>
    OutOfCells = 18,
    /// <summary>The worker is shutting down.</summary>
    ShuttingDown = 19,
    /// <summary>The whole request took longer than its own deadline.</summary>
    DeadlineExceeded = 20,
    /// <summary>The same room is live twice.</summary>
    DuplicateRoom = 21,
    InternalError = 22,
}
