namespace Baton.Router.Forwarding;

/// <summary>Which of a worker's response headers reach the client.</summary>
public static class ResponseHeaders
{
    /// <summary>All but hop-by-hop ones and those that describe a body we may change.</summary>
    /// <param name="keepLength">The body is passed on unchanged and whole.</param>
    public static bool Passes(string name, bool keepLength) => !(
        Is(name, "connection") || Is(name, "keep-alive") || Is(name, "proxy-authenticate") || Is(name, "proxy-authorization") || Is(name, "te")
        || Is(name, "trailers") || Is(name, "trailer") || Is(name, "transfer-encoding") || Is(name, "upgrade") || Is(name, "content-encoding")
        || Is(name, "host") || Is(name, "server") || Is(name, "date") || (!keepLength && Is(name, "content-length")));

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
