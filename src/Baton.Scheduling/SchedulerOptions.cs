using System.ComponentModel.DataAnnotations;
using Baton.Core.Engine;

namespace Baton.Scheduling;

/// <summary>How one rank schedules. One record for all three roles; a member that a role does not use says so.</summary>
public sealed record SchedulerOptions
{
    /// <summary>Tokens of a prompt that are computed together. Chunks end at multiples of it, counted from position 0.</summary>
    [Range(1, 1 << 20)]
    public int ChunkedPrefillSize { get; init; } = 256;

    /// <summary>Sequences that hold cells at once; null for as many as the engine has slots.</summary>
    [Range(1, 1 << 16)]
    public int? MaxRunningRequests { get; init; }

    /// <summary>Requests that may wait in a rank besides the running ones.</summary>
    [Range(1, 1 << 20)]
    public int MaxQueuedRequests { get; init; } = 1024;

    /// <summary>Tokens that one step may compute, up to the engine's batch; null for one chunk beside all running sequences.</summary>
    [Range(1, 1 << 20)]
    public int? StepTokenBudget { get; init; }

    /// <summary>Cells set aside for the answer when a prompt is admitted, at most its max_new_tokens. SGLang's number of reserved decode tokens.</summary>
    [Range(1, 1 << 20)]
    public int ReservedDecodeTokens { get; init; } = 512;

    /// <summary>Longest wait for a slot and cells, from arrival. On decode it covers the resolution as well.</summary>
    public TimeSpan QueueTimeout { get; init; } = TimeSpan.FromSeconds(600);

    /// <summary>Prefill: longest wait for decode's claim, from arrival. SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT.</summary>
    public TimeSpan BootstrapTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Decode: longest time from claim to complete KV. Prefill: from claim to delivery. SGLANG_DISAGGREGATION_WAITING_TIMEOUT.</summary>
    public TimeSpan WaitingTimeout { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Prefill: share of the cells that prompts nobody has claimed yet may hold.</summary>
    [Range(0.0, 1.0)]
    public double MaxUnclaimedCellShare { get; init; } = 0.5;

    /// <summary>Prefill: chunks that one step copies out.</summary>
    [Range(1, 1 << 16)]
    public int MaxExportsPerStep { get; init; } = 8;

    /// <summary>Decode: chunks that one step takes in.</summary>
    [Range(1, 1 << 16)]
    public int MaxImportsPerStep { get; init; } = 4;

    /// <summary>Requests that a rank of this engine holds at most, running and queued.</summary>
    internal int InboxCapacity(EngineInfo engine) => Math.Min(engine.MaxSequences, MaxRunningRequests ?? engine.MaxSequences) + MaxQueuedRequests;
}
