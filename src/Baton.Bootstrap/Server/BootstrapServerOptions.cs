using System.Globalization;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Server;

/// <summary>Options of a bootstrap server, with their defaults. <see cref="FromEnvironment"/> reads SGLang's variables.</summary>
public sealed record BootstrapServerOptions
{
    /// <summary>What lives on beyond the longest wait that could ask for it: a decode that asks in its last second is answered.</summary>
    public static readonly TimeSpan EntryLifeMargin = TimeSpan.FromSeconds(30);

    public const string CleanupIntervalVariable = "SGLANG_DISAGGREGATION_BOOTSTRAP_ENTRY_CLEANUP_INTERVAL";
    public const string BootstrapTimeoutVariable = "SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT";
    public const string WaitingTimeoutVariable = "SGLANG_DISAGGREGATION_WAITING_TIMEOUT";
    public const string WriteTokenVariable = "SGLANG_DISAGGREGATION_BOOTSTRAP_AUTH_TOKEN";

    /// <summary>Address or name to listen on; <c>0.0.0.0</c> and <c>::</c> are all addresses.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>0 takes a free port: <see cref="BootstrapServer.Address"/> tells which.</summary>
    public int Port { get; init; } = BootstrapAddress.DefaultPort;

    /// <summary>SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT of the prefill workers that register here.</summary>
    public TimeSpan BootstrapTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>SGLANG_DISAGGREGATION_WAITING_TIMEOUT of the decode workers that ask here.</summary>
    public TimeSpan WaitingTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>SGLANG_DISAGGREGATION_BOOTSTRAP_ENTRY_CLEANUP_INTERVAL: sets the life of a room's entry; null ties it to the two timeouts.</summary>
    public TimeSpan? CleanupInterval { get; init; }

    /// <summary>How long a room that nobody ends is remembered.</summary>
    public TimeSpan EntryLife => CleanupInterval ?? (BootstrapTimeout > WaitingTimeout ? BootstrapTimeout : WaitingTimeout) + EntryLifeMargin;

    /// <summary>Rooms that are remembered; see <see cref="RoomTableOptions.Capacity"/>.</summary>
    public int RoomCapacity { get; init; } = 2_000_000;

    public int MaxFailedRooms { get; init; } = 65_536;

    /// <summary>When set, everything that writes needs <c>Authorization: Bearer</c> with it.</summary>
    public string? WriteToken { get; init; }

    /// <summary>A larger body is answered with 413.</summary>
    public int MaxBodyBytes { get; init; } = 1024 * 1024;

    /// <summary>A request that has not arrived completely by then is cut off.</summary>
    public TimeSpan RequestDeadline { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a server that stops waits for answers that are on their way. Real time: it waits for sockets.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan ClashWindow { get; init; } = BootstrapTable.DefaultClashWindow;

    public RoomQueryLimits Queries { get; init; } = new();

    /// <summary>How often expired rooms and idle watches are dropped. Answers never depend on it.</summary>
    public TimeSpan SweepInterval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Seeds the hash of rooms and the server's id. Two servers must not share it.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Takes over the SGLANG_DISAGGREGATION_* variables that concern the server.</summary>
    /// <exception cref="FormatException">A variable is set to something that is not a positive number of seconds.</exception>
    public BootstrapServerOptions FromEnvironment(Func<string, string?> variable) => this with
    {
        BootstrapTimeout = Seconds(variable, BootstrapTimeoutVariable) ?? BootstrapTimeout,
        WaitingTimeout = Seconds(variable, WaitingTimeoutVariable) ?? WaitingTimeout,
        CleanupInterval = Seconds(variable, CleanupIntervalVariable) ?? CleanupInterval,
        WriteToken = variable(WriteTokenVariable) is { Length: > 0 } token ? token : WriteToken,
    };

    private static TimeSpan? Seconds(Func<string, string?> variable, string name)
    {
        if (variable(name) is not { Length: > 0 } text) return null;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and < 1e7)
            return TimeSpan.FromSeconds(seconds);
        throw new FormatException($"{name} is '{text}'. Set it to a positive number of seconds, or remove it.");
    }
}
