using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Router.Errors;

/// <summary>Turns what a leg answered, or how it broke, into the one error that the client sees.</summary>
public static class FailureMapping
{
    /// <summary>A leg answered with something other than 2xx.</summary>
    public static RouterError FromStatus(ErrorLeg leg, string worker, int status, ReadOnlySpan<byte> body, TimeSpan? retryAfter = null)
    {
        string name = Name(leg);
        WorkerWords words = WorkerWords.Read(body);
        (int mapped, string code) = status switch
        {
            400 => (400, $"{name}_bad_request"),
            404 => (404, $"{name}_not_found"),
            500 => (500, $"{name}_internal_error"),
            502 => (502, $"{name}_bad_gateway"),
            503 => (503, $"{name}_unavailable"),
            >= 400 and < 500 => (status, $"{name}_error"),
            _ => (502, $"{name}_error"),
        };
        return new RouterError(mapped, code, $"The {name} worker {worker} answered {status}: {words.Message}")
        {
            Leg = leg,
            Worker = worker,
            Param = words.Param,
            WorkerCode = words.Code,
            WorkerType = words.Type,
            IsRetryable = IsRetryable(mapped) && !IsContextLength(words.Message) && !IsContextLength(words.Code ?? ""),
            // A worker that says when to come back is busy, not broken; a 4xx is the client's.
            IsWorkerFault = status is < 200 or >= 500 && !(status == 503 && retryAfter is not null),
            RetryAfter = retryAfter,
        };
    }

    /// <summary>The connection could not be made, or broke before an answer.</summary>
    public static RouterError FromTransport(ErrorLeg leg, string worker, Exception exception) =>
        new(502, $"{Name(leg)}_transport", $"The {Name(leg)} worker {worker} could not be reached or broke the connection: {exception.Message.TrimEnd('.')}. Check that it runs and that the router can reach it.")
        {
            Leg = leg,
            Worker = worker,
            IsRetryable = true,
            IsWorkerFault = true,
        };

    /// <summary>408, 429, 500, 502, 503 and 504: another worker, or the same one later, may do better.</summary>
    public static bool IsRetryable(int status) => status is 408 or 429 or 500 or 502 or 503 or 504;

    public static string Name(ErrorLeg leg) => leg switch
    {
        ErrorLeg.Prefill => "prefill",
        ErrorLeg.Decode => "decode",
        _ => "worker",
    };

    public static ErrorLeg LegOf(WorkerRole role) => role switch
    {
        WorkerRole.Prefill => ErrorLeg.Prefill,
        WorkerRole.Decode => ErrorLeg.Decode,
        _ => ErrorLeg.Router,
    };

    // The prompt stays too long on every worker, whatever status it was answered with.
    private static bool IsContextLength(string text) =>
        text.Contains("context length", StringComparison.OrdinalIgnoreCase) || text.Contains("context_length", StringComparison.OrdinalIgnoreCase)
        || text.Contains("prompt_too_long", StringComparison.Ordinal);

    /// <summary>Which step between the halves failed, by the worker's own code or SGLang's words; null when it says neither.</summary>
    public static HandoverFailure? HandoverOf(RouterError error)
    {
        FailureReason reason = FailureReasons.All.FirstOrDefault(row => row.Code == error.WorkerCode)?.Reason ?? FailureReason.None;
        return reason switch
        {
            FailureReason.BootstrapTimeout or FailureReason.ResolveTimeout or FailureReason.BootstrapUnreachable or FailureReason.UnknownRoom or FailureReason.RankConflict => HandoverFailure.Bootstrap,
            FailureReason.TransferTimeout or FailureReason.LinkLost or FailureReason.TransferCorrupt or FailureReason.PeerMismatch => HandoverFailure.Transfer,
            _ when error.Message.Contains("bootstrap failed", StringComparison.OrdinalIgnoreCase) => HandoverFailure.Bootstrap,
            _ when error.Message.Contains("transfer failed", StringComparison.OrdinalIgnoreCase) => HandoverFailure.Transfer,
            _ => null,
        };
    }
}

/// <summary>A failure between the two halves of a request.</summary>
public enum HandoverFailure
{
    /// <summary>They did not find each other.</summary>
    Bootstrap,
    /// <summary>The KV cache did not arrive.</summary>
    Transfer,
}
