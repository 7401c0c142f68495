namespace Baton.Cli.Supervision;

/// <summary>What <c>baton up</c> starts.</summary>
internal sealed record ClusterOptions
{
    public const int DefaultPort = 30000;

    /// <summary>Address of the router, or of the one worker with <see cref="IsUnified"/>. The workers behind a router stay on loopback.</summary>
    public string Host { get; init; } = "127.0.0.1";
    public int Port { get; init; } = DefaultPort;
    public int PrefillWorkers { get; init; } = 1;
    public int DecodeWorkers { get; init; } = 1;
    public int PrefillDpSize { get; init; } = 2;
    public int DecodeDpSize { get; init; } = 2;
    /// <summary>One worker that does both phases, with <see cref="PrefillDpSize"/> ranks and no router.</summary>
    public bool IsUnified { get; init; }
    /// <summary>Full path of a GGUF file; null when the engine needs none.</summary>
    public string? ModelPath { get; init; }
    /// <summary>What clients must send as a bearer key, and the router to the workers; null for an open server.</summary>
    public string? ApiKey { get; init; }
    /// <summary>Flags for every worker, as they were written.</summary>
    public IReadOnlyList<string> WorkerArguments { get; init; } = [];
    /// <summary>From the start of the processes to the first generated token. A large model is read from disk in this time.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromMinutes(5);
    /// <summary>From the request to stop to the kill.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(10);
    public RestartOptions Restart { get; init; } = new();

    /// <summary>Loopback ports that <see cref="ClusterPlan"/> needs beside <see cref="Port"/>: two a prefill worker, one a decode worker.</summary>
    public int InternalPortCount => IsUnified ? 0 : (2 * PrefillWorkers) + DecodeWorkers;
}
