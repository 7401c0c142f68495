namespace Baton.Router.Forwarding;

/// <summary>Which of a worker's response headers reach the client.</summary>
public static class ResponseHeaders
{
    /// <summary>All but hop-by-hop ones and those that describe a body or a server that are not ours. The length is written anew.</summary>
    public static bool Passes(string name) => !(
        Is(name, "connection") || Is(name, "keep-alive") || Is(name, "proxy-authenticate") || Is(name, "proxy-authorization") || Is(name, "te")
        || Is(name, "trailers") || Is(name, "trailer") || Is(name, "transfer-encoding") || Is(name, "upgrade") || Is(name, "content-encoding")
        || Is(name, "host") || Is(name, "server") || Is(name, "date") || Is(name, "content-length") || Is(name, "x-request-id"));

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
