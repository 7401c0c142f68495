using System.Text.Json;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;

namespace Baton.LlamaCpp.Tests.Engine;

public sealed class GenerationTests
{
    private static readonly LlamaEngineOptions Four = new() { MaxSequences = 4 };

    [Fact]
    public void The_demo_model_says_what_it_is()
    {
        using LlamaEngine engine = DemoModel.Instance.CreateEngine(Four, TimeProvider.System);
        int[] prompt = DemoModel.Instance.RenderChat([new ChatMessage("user", "Who are you?")]);

        string answer = EngineDriver.Answer(engine, new SequenceId(0), prompt, SamplingOptions.Greedy with { MaxNewTokens = 64 });

        Assert.Contains("Baton", answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(700)]
    public void Greedy_output_equals_a_bare_libllama_loop(int promptTokens)
    {
        LlamaModel model = TinyModel.Instance;
        int[] prompt = TinyModel.Prompt(promptTokens, promptTokens);
        using LlamaEngine engine = model.CreateEngine(Four, TimeProvider.System);
        using BareLlama bare = new(model, cellCount: 8192, maxSequences: 6);

        List<SampledToken> ours = EngineDriver.Generate(engine, new SequenceId(2), prompt, SamplingOptions.Greedy with { MaxNewTokens = 24, ReturnLogprob = true });

        List<int> theirs = bare.Generate(prompt, EngineDriver.ChunkTokens, ours.Count);
        Assert.Equal(theirs, ours.Select(token => token.TokenId));
    }

    [Fact]
    public void Log_probabilities_are_those_of_the_raw_logits()
    {
        LlamaModel model = TinyModel.Instance;
        int[] prompt = TinyModel.Prompt(5, 40);
        using LlamaEngine engine = model.CreateEngine(Four, TimeProvider.System);
        using BareLlama bare = new(model, cellCount: 8192, maxSequences: 6);
        SamplingOptions sampling = new() { Temperature = 0.5f, Seed = 9, ReturnLogprob = true, TopLogprobs = 3, LogitBias = new Dictionary<int, float> { [17] = 100 } };

        SampledToken drawn = EngineDriver.Prefill(engine, new SequenceId(0), prompt, sampling);

        bare.Prefill(0, prompt, 0);
        double[] raw = [.. bare.Logits(prompt.Length - 1).ToArray().Select(logit => (double)logit)];
        double normalizer = Math.Log(raw.Sum(Math.Exp));
        Assert.Equal(17, drawn.TokenId);
        Assert.Equal(raw[17] - normalizer, drawn.Logprob, 1e-4);
        Assert.Equal(raw.OrderDescending().Take(3).Select(logit => Math.Round(logit - normalizer, 3)), drawn.TopLogprobs!.Select(top => Math.Round(top.Logprob, 3)));
    }

    [Fact]
    public void Prompt_log_probabilities_cover_the_asked_positions_over_chunk_borders()
    {
        int[] prompt = TinyModel.Prompt(6, 300);
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Four, TimeProvider.System);
        using BareLlama bare = new(TinyModel.Instance, cellCount: 8192, maxSequences: 6);
        StepPlan plan = new();
        StepResult result = new();
        List<InputLogprob> reported = [];
        plan.Opening.Add(new SequenceStart(new SequenceId(1), SamplingOptions.Greedy with { InputLogprobStart = 200 }, prompt, default));

        foreach (int start in new[] { 0, 256 })
        {
            int count = Math.Min(256, prompt.Length - start);
            plan.Chunks.Add(new PrefillChunk(new SequenceId(1), prompt.AsMemory(start, count), start, start > 0));
            EngineDriver.Run(engine, plan, result);
            reported.AddRange(result.InputLogprobs);
            plan.Clear();
        }

        Assert.Equal(Enumerable.Range(200, 100), reported.Select(entry => entry.Position));
        Assert.Equal(prompt[200..], reported.Select(entry => entry.Token.TokenId));
        bare.Prefill(0, prompt.AsSpan(0, 250), 0);
        float[] raw = bare.Logits(249).ToArray();
        double expected = raw[prompt[250]] - Math.Log(raw.Sum(logit => Math.Exp(logit)));
        Assert.Equal(expected, reported[50].Token.Logprob, 0.02);
    }

    [Fact]
    public void A_whole_prompt_is_reported_with_its_first_token_that_has_no_probability()
    {
        int[] prompt = TinyModel.Prompt(7, 20);
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Four, TimeProvider.System);
        StepPlan plan = new();
        StepResult result = new();
        plan.Opening.Add(new SequenceStart(new SequenceId(0), SamplingOptions.Greedy with { InputLogprobStart = 0 }, prompt, default));
        plan.Chunks.Add(new PrefillChunk(new SequenceId(0), prompt, 0, SampleLast: true));

        EngineDriver.Run(engine, plan, result);

        Assert.Equal(Enumerable.Range(0, 20), result.InputLogprobs.Select(entry => entry.Position));
        Assert.Equal(prompt, result.InputLogprobs.Select(entry => entry.Token.TokenId));
        Assert.True(float.IsNaN(result.InputLogprobs[0].Token.Logprob));
        Assert.All(result.InputLogprobs.Skip(1), entry => Assert.True(entry.Token.Logprob <= 0));
    }

    [Fact]
    public void Chunks_and_rows_of_several_sequences_share_a_batch_and_give_each_its_own_output()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Four, TimeProvider.System);
        int[][] prompts = [.. Enumerable.Range(0, 4).Select(index => TinyModel.Prompt(20 + index, 30 + (10 * index)))];
        SamplingOptions sampling = SamplingOptions.Greedy with { MaxNewTokens = 12 };
        List<int>[] alone = [.. prompts.Select(prompt => EngineDriver.Generate(engine, new SequenceId(0), prompt, sampling).Select(token => token.TokenId).ToList())];

        // A new sequence joins at every second step, while the earlier ones decode.
        List<int>[] together = [[], [], [], []];
        StepPlan plan = new();
        StepResult result = new();
        for (int step = 0; together.Any(output => output.Count < 12); step++)
        {
            plan.Clear();
            for (int index = 0; index < 4; index++)
            {
                SequenceId id = new(index);
                if (step == 2 * index)
                {
                    plan.Opening.Add(new SequenceStart(id, sampling, prompts[index], default));
                    plan.Chunks.Add(new PrefillChunk(id, prompts[index], 0, true));
                }
                else if (together[index].Count is > 0 and < 12)
                    plan.Rows.Add(new DecodeRow(id, together[index][^1], prompts[index].Length + together[index].Count - 1));
            }
            EngineDriver.Run(engine, plan, result);
            foreach (SampledToken token in result.Samples) together[token.Sequence.Value].Add(token.TokenId);
        }

        Assert.Equal(alone, together);
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens_in_another_slot_and_another_seed_does_not()
    {
        using LlamaEngine engine = TinyModel.Instance.CreateEngine(Four, TimeProvider.System);
        int[] prompt = TinyModel.Prompt(1, 20);
        SamplingOptions sampling = new() { Temperature = 1, TopP = 0.95f, Seed = 1234, MaxNewTokens = 30 };

        int[] first = [.. EngineDriver.Generate(engine, new SequenceId(0), prompt, sampling).Select(token => token.TokenId)];

        Assert.Equal(first, EngineDriver.Generate(engine, new SequenceId(3), prompt, sampling).Select(token => token.TokenId));
        Assert.NotEqual(first, EngineDriver.Generate(engine, new SequenceId(0), prompt, sampling with { Seed = 1235 }).Select(token => token.TokenId));
    }

    [Fact]
    public void The_demo_model_recalls_what_it_recalled_when_it_was_made()
    {
        using LlamaEngine engine = DemoModel.Instance.CreateEngine(Four, TimeProvider.System);
        RecallCase[] cases = [.. RecallCase.Load().Where(item => item.PromptTokens <= 300 && item.ReferenceOk).Take(50)];

        int recalled = cases.Count(item => EngineDriver
            .Answer(engine, new SequenceId(0), DemoModel.Instance.RenderChat(item.Messages), SamplingOptions.Greedy with { MaxNewTokens = 40 })
            .Contains(item.Expected, StringComparison.Ordinal));

        // Other CPU kernels round differently: two of fifty may fall the other way.
        Assert.Equal(50, cases.Length);
        Assert.InRange(recalled, 48, 50);
    }

    private sealed record RecallCase(ChatMessage[] Messages, string Expected, int PromptTokens, bool ReferenceOk)
    {
        internal static IEnumerable<RecallCase> Load()
        {
            foreach (string line in File.ReadLines(Path.Combine(DemoModel.Folder, "recall-cases.jsonl")))
            {
                using JsonDocument document = JsonDocument.Parse(line);
                JsonElement item = document.RootElement;
                yield return new RecallCase(
                    [.. item.GetProperty("messages").EnumerateArray().Select(message => new ChatMessage(message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!))],
                    item.GetProperty("expected").GetString()!, item.GetProperty("prompt_tokens").GetInt32(), item.GetProperty("reference_ok").GetBoolean());
            }
        }
    }
}
