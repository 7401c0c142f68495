using System.Net;

namespace Baton.Transfer;

/// <summary>How a rank hands KV over. Its defaults are the product's.</summary>
public sealed record TransferOptions
{
    /// <summary>Shortest secret that is taken: shorter ones can be guessed from one recorded handshake.</summary>
    public const int MinSecretLength = 16;

    /// <summary>Address that a prefill rank's KV listener binds to. Anything but loopback needs <see cref="ClusterSecret"/>.</summary>
    public string BindAddress { get; init; } = "127.0.0.1";
    /// <summary>First KV port; rank r listens on Port + r. 0 lets the system choose one for each rank.</summary>
    public int Port { get; init; }
    /// <summary>Shared by all workers: <c>--cluster-secret</c> or <c>BATON_CLUSTER_SECRET</c>.</summary>
    public string? ClusterSecret { get; init; }
    /// <summary>Longest chunk, in tokens.</summary>
    public int MaxChunkTokens { get; init; } = 2048;
    /// <summary>Payload bytes that may be under way or waiting on one link. Raised to two of the longest chunks when it is less.</summary>
    /// <remarks>Five chunks of 256 tokens at 12 KB: enough to keep a link busy while one is imported, and small enough to stay warm in the cache.</remarks>
    public long WindowBytes { get; init; } = 16L << 20;
    /// <summary>Frames that may wait for a rank, and that may wait on one link to be sent.</summary>
    public int MaxQueuedFrames { get; init; } = 16_384;
    /// <summary>Links that one prefill rank serves.</summary>
    public int MaxLinks { get; init; } = 1024;
    /// <summary>Connections of one prefill rank that are still in the handshake; one more is closed at once.</summary>
    public int MaxUnauthenticated { get; init; } = 64;

    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>A peer that was silent for so long is asked whether it is there.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>A peer that was silent, or took no byte, for so long is gone.</summary>
    public TimeSpan PeerTimeout { get; init; } = TimeSpan.FromSeconds(15);
    /// <summary>How long a link that closes may still send what is queued.</summary>
    public TimeSpan CloseTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long decode's claim waits for prefill's half of the request. SGLang's bootstrap timeout.</summary>
    public TimeSpan EarlyClaimTimeout { get; init; } = TimeSpan.FromSeconds(300);
    public int MaxEarlyClaims { get; init; } = 8192;
    /// <summary>How long an ended room is remembered, to answer a late claim at once.</summary>
    public TimeSpan EndedRoomTime { get; init; } = TimeSpan.FromSeconds(330);
    public int MaxEndedRooms { get; init; } = 65_536;
    /// <summary>How often the rank directory is asked again about claims that came before their request: a wrong hint costs this at most.</summary>
    public TimeSpan DirectoryInterval { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>What is wrong with these options, each with the way out; empty when nothing is.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> errors = [];
        bool isAddress = IPAddress.TryParse(BindAddress, out IPAddress? address);
        if (!isAddress) errors.Add($"KV bind address '{BindAddress}' is not an IP address. Give one, such as 127.0.0.1 or 0.0.0.0.");
        if (string.IsNullOrEmpty(ClusterSecret) && isAddress && !IPAddress.IsLoopback(address!))
            errors.Add($"The KV listener on {BindAddress} can be reached from other machines and has no cluster secret. Set --cluster-secret or BATON_CLUSTER_SECRET, the same on every worker, or bind it to 127.0.0.1.");
        if (!string.IsNullOrEmpty(ClusterSecret) && ClusterSecret.Length < MinSecretLength)
            errors.Add($"The cluster secret has {ClusterSecret.Length} characters; use at least {MinSecretLength}.");
        if (Port is < 0 or > IPEndPoint.MaxPort) errors.Add($"KV port {Port} is outside [0,{IPEndPoint.MaxPort}].");
        Positive(MaxChunkTokens, nameof(MaxChunkTokens));
        Positive(WindowBytes, nameof(WindowBytes));
        Positive(MaxQueuedFrames, nameof(MaxQueuedFrames));
        Positive(MaxLinks, nameof(MaxLinks));
        Positive(MaxUnauthenticated, nameof(MaxUnauthenticated));
        Positive(MaxEarlyClaims, nameof(MaxEarlyClaims));
        Positive(MaxEndedRooms, nameof(MaxEndedRooms));
        Lasting(ConnectTimeout, nameof(ConnectTimeout));
        Lasting(HandshakeTimeout, nameof(HandshakeTimeout));
        Lasting(KeepAliveInterval, nameof(KeepAliveInterval));
        Lasting(CloseTimeout, nameof(CloseTimeout));
        Lasting(EarlyClaimTimeout, nameof(EarlyClaimTimeout));
        Lasting(EndedRoomTime, nameof(EndedRoomTime));
        Lasting(DirectoryInterval, nameof(DirectoryInterval));
        if (PeerTimeout < 2 * KeepAliveInterval) errors.Add($"{nameof(PeerTimeout)} {PeerTimeout} must be at least twice {nameof(KeepAliveInterval)} {KeepAliveInterval}, or a quiet peer is taken for a dead one.");
        return errors;

        void Positive(long value, string name)
        {
            if (value <= 0) errors.Add($"{name} is {value}; it must be above 0.");
        }

        void Lasting(TimeSpan value, string name)
        {
            if (value <= TimeSpan.Zero) errors.Add($"{name} is {value}; it must be above 0.");
        }
    }

    /// <summary>The secret never shows in a log.</summary>
    public override string ToString() => $"{nameof(TransferOptions)} {{ {BindAddress}:{Port}, secret {(string.IsNullOrEmpty(ClusterSecret) ? "none" : "set")}, window {WindowBytes} bytes, chunks up to {MaxChunkTokens} tokens }}";
}
