using System.Text;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;

namespace Baton.LlamaCpp.Tests;

/// <summary>Drives an engine as a scheduler would, one sequence at a time.</summary>
internal static class EngineDriver
{
    internal const int ChunkTokens = 256;

    internal static string Answer(IEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling)
    {
        IDetokenizer text = DemoModel.Instance.CreateDetokenizer();
        StringBuilder answer = new();
        foreach (SampledToken token in Generate(engine, id, prompt, sampling)) answer.Append(text.Append(token.TokenId));
        return answer.Append(text.Finish()).ToString();
    }

    /// <summary>Prefills in chunks, decodes to the end of generation or max_new_tokens, and closes the sequence.</summary>
    internal static List<SampledToken> Generate(IEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling)
    {
        List<SampledToken> output = [Prefill(engine, id, prompt, sampling)];
        Decode(engine, id, prompt.Length, sampling.MaxNewTokens, output);
        return output;
    }

    internal static SampledToken Prefill(IEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling) => Prefill(engine, id, prompt, sampling, ChunkTokens);

    /// <summary>For engines whose batch holds 64 tokens.</summary>
    internal static SampledToken Prefill64(IEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling) => Prefill(engine, id, prompt, sampling, 64);

    private static SampledToken Prefill(IEngine engine, SequenceId id, int[] prompt, SamplingOptions sampling, int chunkTokens)
    {
        StepPlan plan = new();
        StepResult result = new();
        plan.Opening.Add(new SequenceStart(id, sampling, prompt, default));
        for (int start = 0; start < prompt.Length; start += chunkTokens)
        {
            int count = Math.Min(chunkTokens, prompt.Length - start);
            plan.Chunks.Add(new PrefillChunk(id, prompt.AsMemory(start, count), start, start + count == prompt.Length));
            plan.BatchTokens = count;
            Run(engine, plan, result);
            plan.Clear();
        }
        return Assert.Single(result.Samples);
    }

    internal static void Decode(IEngine engine, SequenceId id, int promptTokens, int maxNewTokens, List<SampledToken> output)
    {
        StepPlan plan = new();
        StepResult result = new();
        while (output.Count < maxNewTokens && !output[^1].IsEndOfGeneration)
        {
            plan.Rows.Add(new DecodeRow(id, output[^1].TokenId, promptTokens + output.Count - 1));
            plan.BatchTokens = 1;
            Run(engine, plan, result);
            plan.Clear();
            output.Add(Assert.Single(result.Samples));
        }
        Close(engine, id);
    }

    internal static void Close(IEngine engine, SequenceId id)
    {
        StepPlan plan = new();
        plan.Closing.Add(id);
        Run(engine, plan, new StepResult());
    }

    internal static void Run(IEngine engine, StepPlan plan, StepResult result)
    {
        engine.Execute(plan, result);
        Assert.Empty(result.Failures);
    }
}
