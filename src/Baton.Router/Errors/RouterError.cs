using System.Text.Json;
using System.Text.Json.Serialization;
using Baton.Core.Ids;

namespace Baton.Router.Errors;

/// <summary>Whose failure it is: <c>error.leg</c>.</summary>
public enum ErrorLeg
{
    Router,
    Prefill,
    Decode,
}

/// <summary>Why a client does not get its answer, as a value: status, slug, text and where it happened.</summary>
/// <param name="Status">HTTP status for the client.</param>
/// <param name="Code">Stable slug; also the <c>x-baton-error-code</c> header.</param>
/// <param name="Message">What happened, where, with the values in it, and what to do.</param>
public sealed record RouterError(int Status, string Code, string Message)
{
    public ErrorLeg Leg { get; init; } = ErrorLeg.Router;
    /// <summary>Base URL of the worker that failed, or null.</summary>
    public string? Worker { get; init; }
    public BootstrapRoom? Room { get; init; }
    /// <summary>The same request can succeed later or elsewhere.</summary>
    public bool IsRetryable { get; init; }
    public int Attempts { get; init; }
    /// <summary>The worker is to blame: its breaker counts it. Never true for what the client or the router did.</summary>
    public bool IsWorkerFault { get; init; }
    /// <summary>The field of the client's body that a worker objects to, in the worker's words.</summary>
    public string? Param { get; init; }
    /// <summary>The worker's own <c>error.code</c> and <c>error.type</c>, where it has them: clients that know the worker's codes find them there.</summary>
    public string? WorkerCode { get; init; }
    public string? WorkerType { get; init; }
    /// <summary>For the <c>Retry-After</c> header.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The error body of every endpoint: <c>{"error":{"type","code","message","param",...}}</c>.</summary>
    public byte[] ToJson()
    {
        ErrorBody body = new()
        {
            Type = ReasonPhrase(Status),
            Code = Code,
            Message = Message,
            Param = Param,
            WorkerCode = WorkerCode,
            WorkerType = WorkerType,
            Leg = Leg switch { ErrorLeg.Prefill => "prefill", ErrorLeg.Decode => "decode", _ => "router" },
            Worker = Worker,
            Room = Room?.Value.ToString(),
            Retryable = IsRetryable,
            Attempts = Attempts,
        };
        return JsonSerializer.SerializeToUtf8Bytes(new ErrorEnvelope { Error = body }, RouterJson.Default.ErrorEnvelope);
    }

    private static string ReasonPhrase(int status) => status switch
    {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => $"HTTP {status}",
    };
}

internal sealed record ErrorEnvelope
{
    public required ErrorBody Error { get; init; }
}

internal sealed record ErrorBody
{
    public required string Type { get; init; }
    public required string Code { get; init; }
    public required string Message { get; init; }
    public string? Param { get; init; }
    public required string Leg { get; init; }
    public string? Worker { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? WorkerCode { get; init; }
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? WorkerType { get; init; }
    /// <summary>A string: rooms exceed what a browser's numbers hold.</summary>
    public string? Room { get; init; }
    public required bool Retryable { get; init; }
    public required int Attempts { get; init; }
}
