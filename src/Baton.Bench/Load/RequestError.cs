namespace Baton.Bench.Load;

/// <summary>How a request can miss. bench_serving sees only the first three; the rest it counts as success.</summary>
public enum RequestErrorKind
{
    None,
    /// <summary>No connection, or it broke before the response head.</summary>
    Connection,
    /// <summary>A status other than 200.</summary>
    HttpStatus,
    /// <summary>The request's own deadline (<c>--request-timeout</c>).</summary>
    Timeout,
    /// <summary>A 200 whose stream carries an error object.</summary>
    ErrorInStream,
    /// <summary>A 200 whose last chunk has finish_reason <c>abort</c>.</summary>
    Aborted,
    /// <summary>The stream ended with neither a finish reason nor <c>[DONE]</c>.</summary>
    Truncated,
    /// <summary>Something that is no JSON, or a line past the limit.</summary>
    BadResponse,
    /// <summary>A complete response without a token.</summary>
    NoTokens,
}

/// <param name="Detail">Status or error code, part of what errors are counted by. Empty when there is none.</param>
public sealed record RequestError(RequestErrorKind Kind, string Detail, string Message)
{
    /// <summary>What it is counted under, such as "error in stream (queue_full)".</summary>
    public string Label => Detail.Length == 0 ? KindText : $"{KindText} ({Detail})";

    private string KindText => Kind switch
    {
        RequestErrorKind.Connection => "connection",
        RequestErrorKind.HttpStatus => "http status",
        RequestErrorKind.Timeout => "timeout",
        RequestErrorKind.ErrorInStream => "error in a 200 stream",
        RequestErrorKind.Aborted => "aborted",
        RequestErrorKind.Truncated => "truncated stream",
        RequestErrorKind.BadResponse => "bad response",
        RequestErrorKind.NoTokens => "no tokens",
        _ => "none",
    };
}
