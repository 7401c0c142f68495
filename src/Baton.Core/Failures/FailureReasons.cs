namespace Baton.Core.Failures;

/// <summary>One row of the failure table.</summary>
/// <param name="HttpStatus">What an HTTP client is answered.</param>
/// <param name="IsRetryable">Another attempt, elsewhere or later, can succeed with the same request.</param>
/// <param name="Code">Stable slug for programs, in <c>error.code</c>.</param>
/// <param name="Advice">What the operator or the client can do.</param>
public sealed record FailureRow(FailureReason Reason, int HttpStatus, bool IsRetryable, string Code, string Advice);

/// <summary>The one table: reason to HTTP status, retryable or not, and what to do.</summary>
public static class FailureReasons
{
    private static readonly FailureRow[] Rows =
    [
        new(FailureReason.None, 200, false, "none", "Nothing failed."),
        new(FailureReason.Aborted, 499, false, "aborted", "The client went away or asked for the abort."),
        new(FailureReason.InvalidRequest, 400, false, "invalid_request", "Correct the named field and send the request again."),
        new(FailureReason.PromptTooLong, 400, false, "prompt_too_long", "Shorten the prompt, or serve with a larger --context-length."),
        new(FailureReason.QueueFull, 503, true, "queue_full", "Retry later, or add workers, or raise --max-queued-requests."),
        new(FailureReason.BootstrapTimeout, 504, true, "bootstrap_timeout",
            "Check that the decode worker got its leg and can reach this prefill rank, or raise SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT."),
        new(FailureReason.ResolveTimeout, 504, true, "resolve_timeout",
            "Check that the prefill leg was sent and reaches the same bootstrap server, or raise --disaggregation-resolve-timeout."),
        new(FailureReason.BootstrapUnreachable, 502, true, "bootstrap_unreachable", "Check bootstrap_host and bootstrap_port, and that the bootstrap server runs."),
        new(FailureReason.TransferTimeout, 504, true, "transfer_timeout", "Check the prefill worker's load, or raise SGLANG_DISAGGREGATION_WAITING_TIMEOUT."),
        new(FailureReason.LinkLost, 502, true, "link_lost", "The connection between the ranks broke; check that the peer worker is alive."),
        new(FailureReason.TransferCorrupt, 502, true, "transfer_corrupt", "The KV cache that arrived failed a check and was thrown away; check the network and the peer's version."),
        new(FailureReason.PeerMismatch, 502, false, "peer_mismatch", "Start both workers with the same model file, engine options, version and --cluster-secret."),
        new(FailureReason.RankConflict, 409, false, "rank_conflict",
            "Send a room with room % dp_size equal to routed_dp_rank, or leave routed_dp_rank out, or set SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK=1 on both workers."),
        new(FailureReason.RankOutOfRange, 400, false, "rank_out_of_range", "Use a rank in [0, dp_size)."),
        new(FailureReason.RankUnavailable, 503, true, "rank_unavailable", "The rank is down or draining; leave the rank out or choose another."),
        new(FailureReason.UnknownRoom, 502, true, "unknown_room", "The prefill worker ended this room already or never had it; send the request again with a new room."),
        new(FailureReason.PeerFailed, 502, true, "peer_failed", "The other worker failed this request; its text is in the message."),
        new(FailureReason.EngineError, 500, true, "engine_error", "See the worker's log."),
        new(FailureReason.OutOfCells, 503, true, "out_of_cells", "Retry later, or serve with more KV cells (--max-total-tokens)."),
        new(FailureReason.ShuttingDown, 503, true, "shutting_down", "Retry on another worker."),
        new(FailureReason.DeadlineExceeded, 504, false, "deadline_exceeded", "Raise the request's deadline or lower max_new_tokens."),
        new(FailureReason.DuplicateRoom, 409, false, "duplicate_room", "Every sequence needs a room of its own, also in a batch or with n > 1."),
        new(FailureReason.InternalError, 500, true, "internal_error", "This is a bug in Baton: please report it with the worker's log."),
    ];

    extension(FailureReason reason)
    {
        public FailureRow Row => (int)reason < Rows.Length ? Rows[(int)reason] : Rows[(int)FailureReason.InternalError];
        public int HttpStatus => reason.Row.HttpStatus;
        public bool IsRetryable => reason.Row.IsRetryable;
        public string Code => reason.Row.Code;
    }

    /// <summary>All rows, in the order of the enum. A test walks them.</summary>
    public static IReadOnlyList<FailureRow> All => Rows;
}
