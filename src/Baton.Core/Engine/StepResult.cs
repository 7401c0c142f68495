using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Core.Engine;

/// <summary>What one step produced. Reused like <see cref="StepPlan"/>.</summary>
public sealed class StepResult
{
    /// <summary>One for each decode row and each chunk with <c>SampleLast</c>, unless the sequence is in <see cref="Failures"/>.</summary>
    public List<SampledToken> Samples { get; } = [];

    /// <summary>One for each export of the plan, in its order, unless the sequence failed. Buffers belong to the reader.</summary>
    public List<KvExported> Exported { get; } = [];

    /// <summary>Log probabilities of prompt tokens of this step's chunks, where asked for.</summary>
    public List<InputLogprob> InputLogprobs { get; } = [];

    /// <summary>Sequences that cannot go on. Their slots stay open until the plan closes them.</summary>
    public List<SequenceFailure> Failures { get; } = [];

    /// <summary>The batch was cut short by <see cref="IEngine.Interrupt"/>: nothing was sampled.</summary>
    public bool WasInterrupted { get; set; }

    /// <summary>What the step cost. Measured by libllama's engine; computed by the simulated one, and then waited for by whoever drives it.</summary>
    public TimeSpan Elapsed { get; set; }

    public void Clear()
    {
        Samples.Clear();
        Exported.Clear();
        InputLogprobs.Clear();
        Failures.Clear();
        WasInterrupted = false;
        Elapsed = TimeSpan.Zero;
    }
}

/// <summary>A drawn token.</summary>
/// <param name="IsEndOfGeneration">The model's own end tokens (EOS, EOT, ...).</param>
public readonly record struct SampledToken(
    SequenceId Sequence, int TokenId, bool IsEndOfGeneration, float Logprob, IReadOnlyList<TokenLogprob>? TopLogprobs)
{
    public OutputToken ToOutput() => new(TokenId, Logprob, TopLogprobs);
}

/// <summary>An exported chunk; <paramref name="Payload"/> belongs to whoever takes it out of the result.</summary>
public readonly record struct KvExported(SequenceId Sequence, BootstrapRoom Room, KvRange Range, KvBuffer Payload);

/// <summary>Log probability of the prompt token at <paramref name="Position"/>, given those before it.</summary>
public readonly record struct InputLogprob(SequenceId Sequence, int Position, TokenLogprob Token);

public readonly record struct SequenceFailure(SequenceId Sequence, FailureReason Reason, string Message);
