using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Requests;

namespace Baton.Scheduling.Sequences;

/// <summary>What can ever fit one rank. A sequence that stays below always fits when it is alone, so waiting never dead-locks.</summary>
internal readonly struct PromptLimits(EngineInfo engine)
{
    /// <summary>Longest prompt plus answer.</summary>
    public int MaxTokens { get; } = Math.Min(engine.ContextTokens, engine.CellCount);

    public RequestFailure? Check(GenerationRequest request)
    {
        int prompt = request.PromptTokens.Length;
        if (prompt == 0) return RequestFailure.Of(FailureReason.InvalidRequest, $"input_ids: the prompt of {request.Id} has no tokens.");
        return prompt + Math.Min(1, request.Sampling.MaxNewTokens) <= MaxTokens
            ? null
            : RequestFailure.Of(FailureReason.PromptTooLong, $"{request.Id}: a prompt of {prompt} tokens leaves no room for an answer in {MaxTokens}.");
    }

    /// <summary>max_new_tokens cut to what is left, as SGLang does.</summary>
    public int CutNewTokens(GenerationRequest request) =>
        Math.Clamp(request.Sampling.MaxNewTokens, 0, MaxTokens - request.PromptTokens.Length);
}
