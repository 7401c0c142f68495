using System.Text;
using System.Text.Json;
using Baton.Core.Ids;

namespace Baton.Router.Errors;

/// <summary>Turns what a leg answered, or how it broke, into the one error that the client sees.</summary>
public static class FailureMapping
{
    /// <summary>Of a worker's error body so much is read and passed on.</summary>
    public const int MessageBytes = 4096;

    /// <summary>A leg answered with something other than 2xx.</summary>
    public static RouterError FromStatus(ErrorLeg leg, string worker, int status, ReadOnlySpan<byte> body, TimeSpan? retryAfter = null)
    {
        string name = Name(leg);
        string text = ExtractMessage(body);
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
        return new RouterError(mapped, code, $"The {name} worker {worker} answered {status}: {text}")
        {
            Leg = leg,
            Worker = worker,
            IsRetryable = IsRetryable(mapped) && !IsContextLength(text),
            // A worker that says when to come back is busy, not broken; a 4xx is the client's.
            IsWorkerFault = status is < 200 or >= 500 && !(status == 503 && retryAfter is not null),
            RetryAfter = retryAfter,
        };
    }

    /// <summary>The connection could not be made, or broke before an answer.</summary>
    public static RouterError FromTransport(ErrorLeg leg, string worker, Exception exception) =>
        new(502, $"{Name(leg)}_transport", $"The {Name(leg)} worker {worker} could not be reached or broke the connection: {exception.Message} Check that it runs and that the router can reach it.")
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

    /// <summary><c>error.message</c>, then <c>message</c>, then <c>detail</c>, then the raw text.</summary>
    public static string ExtractMessage(ReadOnlySpan<byte> body)
    {
        if (body.IsEmpty) return "(no body)";
        try
        {
            Utf8JsonReader reader = new(body);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Object)
            {
                if (root.TryGetProperty("error", out JsonElement error))
                {
                    if (error.ValueKind == JsonValueKind.String) return error.GetString()!;
                    if (error.ValueKind == JsonValueKind.Object && Text(error, "message") is { } inner) return inner;
                }
                if ((Text(root, "message") ?? Text(root, "detail")) is { } outer) return outer;
            }
        }
        catch (JsonException)
        {
            // Not JSON, or cut at the limit: the raw text is the message.
        }
        return Encoding.UTF8.GetString(body[..Math.Min(body.Length, MessageBytes)]);
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
