using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Core.Engine;

/// <summary>One turn of one rank, decided by a scheduler and executed by an engine in the order of the properties below.</summary>
/// <remarks>Reused: the lists keep their capacity, so a steady step allocates nothing.</remarks>
public sealed class StepPlan
{
    /// <summary>1. Sequences that end: their cells and samplers are freed.</summary>
    public List<SequenceId> Closing { get; } = [];

    /// <summary>2. Chunks from prefill that become cells of a sequence, in order.</summary>
    public List<KvImport> Imports { get; } = [];

    /// <summary>3. Sequences that get a sampler: a new prompt, or one whose KV is complete and whose first tokens are known.</summary>
    public List<SequenceStart> Opening { get; } = [];

    /// <summary>4. Stretches of prompts to compute in this step's batch.</summary>
    public List<PrefillChunk> Chunks { get; } = [];

    /// <summary>5. Running sequences that get their next token, in the same batch.</summary>
    public List<DecodeRow> Rows { get; } = [];

    /// <summary>6. Computed stretches to copy out for the hand-over, after the batch.</summary>
    public List<KvExport> Exports { get; } = [];

    /// <summary>Tokens of the batch: chunks plus rows.</summary>
    public int BatchTokens { get; set; }

    /// <summary>Nothing to do at all: the rank may sleep until its inbox wakes it or a deadline comes.</summary>
    public bool IsEmpty => Closing.Count == 0 && Imports.Count == 0 && Opening.Count == 0 && BatchTokens == 0 && Exports.Count == 0;

    public void Clear()
    {
        Closing.Clear();
        Imports.Clear();
        Opening.Clear();
        Chunks.Clear();
        Rows.Clear();
        Exports.Clear();
        BatchTokens = 0;
    }
}

/// <summary>A sequence gets its sampler.</summary>
/// <param name="PromptTokens">For the repetition penalty.</param>
/// <param name="GeneratedTokens">Already drawn elsewhere (on prefill, or before a retraction): penalties and grammar count them. May be empty.</param>
public readonly record struct SequenceStart(
    SequenceId Sequence, SamplingOptions Sampling, ReadOnlyMemory<int> PromptTokens, ReadOnlyMemory<int> GeneratedTokens);

/// <summary>A stretch of a prompt, positions [StartPosition, StartPosition + Tokens.Length).</summary>
/// <param name="SampleLast">The stretch ends the prompt: draw the first token.</param>
public readonly record struct PrefillChunk(SequenceId Sequence, ReadOnlyMemory<int> Tokens, int StartPosition, bool SampleLast)
{
    public KvRange Range => new(StartPosition, StartPosition + Tokens.Length);
}

/// <summary>Computes <paramref name="TokenId"/> at <paramref name="Position"/> and draws the token at Position + 1.</summary>
public readonly record struct DecodeRow(SequenceId Sequence, int TokenId, int Position);

/// <summary>Copies computed positions out. The result carries a buffer of <c>Kv.PayloadBytes(Range.TokenCount)</c>.</summary>
public readonly record struct KvExport(SequenceId Sequence, BootstrapRoom Room, KvRange Range);

/// <summary>Adds positions to a sequence. The payload is laid out as <see cref="KvLayout"/> says, checked finite, and now the engine's to dispose.</summary>
public readonly record struct KvImport(SequenceId Sequence, BootstrapRoom Room, KvRange Range, KvBuffer Payload);
