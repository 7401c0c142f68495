namespace Baton.Core.Ids;

/// <summary>Where a bootstrap server listens. Two addresses are one server only when host and port are equal, never by prefix.</summary>
/// <param name="Host">Name or address without brackets; <see cref="ToString"/> adds them for IPv6.</param>
/// <param name="Port">1 to 65535.</param>
public readonly record struct BootstrapAddress(string Host, int Port)
{
    /// <summary>SGLang's default for <c>--disaggregation-bootstrap-port</c>.</summary>
    public const int DefaultPort = 8998;

    /// <summary>SGLang's marker for "no real transfer": a request whose <c>bootstrap_host</c> is this uses the fake backend.</summary>
    public const string FakeHost = "2.2.2.2";

    public bool IsFake => Host == FakeHost;

    /// <summary>Takes a host as a request carries it: IPv6 may come in brackets.</summary>
    public static BootstrapAddress From(string host, int port) =>
        new(host.Length > 2 && host[0] == '[' && host[^1] == ']' ? host[1..^1] : host, port);

    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
