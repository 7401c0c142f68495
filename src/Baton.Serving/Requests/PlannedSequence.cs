using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Serving.Requests;

/// <summary>One sequence of a call, validated and tokenised, that only lacks a sink to be dispatched.</summary>
public sealed record PlannedSequence
{
    public required RequestId Id { get; init; }
    public required int[] PromptTokens { get; init; }
    public required SamplingOptions Sampling { get; init; }
    public required OutputOptions Output { get; init; }
    public BootstrapInfo? Bootstrap { get; init; }
    public DpRank? RoutedDpRank { get; init; }
    public int Priority { get; init; }
}

/// <summary>How the tokens of one sequence become text.</summary>
public sealed record OutputOptions
{
    public static readonly OutputOptions Default = new();

    /// <summary>The text is cut before the first of these.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];
    public bool SkipSpecialTokens { get; init; } = true;
    /// <summary>SGLang's no_stop_trim: the stop string or token stays in the text.</summary>
    public bool KeepStop { get; init; }
    public bool IgnoreEos { get; init; }
    public bool TextInLogprobs { get; init; }
}

/// <summary>One HTTP request (or library call): the sequences that it asks for and how it wants them back.</summary>
public sealed record GenerationCall
{
    /// <summary>Prompt by prompt, and the samples of one prompt side by side.</summary>
    public required IReadOnlyList<PlannedSequence> Sequences { get; init; }
    public bool IsStream { get; init; }
    /// <summary>Native API: the answer is an array, because the prompts were one or n &gt; 1.</summary>
    public bool IsList { get; init; }
    public int SamplesPerPrompt { get; init; } = 1;
    /// <summary>The client used data_parallel_rank.</summary>
    public bool UsesDeprecatedRank { get; init; }
    /// <summary>Together with another routed_dp_rank, which counts.</summary>
    public bool DeprecatedRankDiffers { get; init; }
}
