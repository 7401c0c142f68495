using System.Diagnostics;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;
using Baton.LlamaCpp.Tests;
using Baton.Testing.Gguf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Benchmarks;

/// <summary>Decode steps of <see cref="LlamaEngine"/> beside a bare libllama loop with greedy argmax: same model, same batch, one thread, steps taken in turns.</summary>
internal static class DecodeThroughput
{
    private const int PromptTokens = 64;

    internal static Task<int> Run(string[] args)
    {
        int steps = args.Length > 0 ? int.Parse(args[0]) : 48;
        string path = GgufWriter.EnsureInTemp(GgufModelShape.Mid, "mid");
        using LlamaModel model = LlamaModel.Load(new LlamaModelOptions { ModelPath = path }, NullLogger.Instance);
        List<object> figures = [];
        foreach (int batch in new[] { 1, 4, 8, 16 }) figures.Add(Measure(model, batch, steps));
        ResultFile.Write("decode-throughput", $"dotnet run -c Release --project bench/Baton.Benchmarks -- decode-throughput {steps}", new { model = "152 M parameters, F16, random weights", bar = 0.95, figures });
        return Task.FromResult(0);
    }

    private static object Measure(LlamaModel model, int batch, int steps)
    {
        int cells = batch * (PromptTokens + steps + 16);
        using LlamaEngine engine = model.CreateEngine(new LlamaEngineOptions { MaxSequences = batch, CellCount = cells, ContextTokens = PromptTokens + steps + 16 }, TimeProvider.System);
        using BareLlama bare = new(model, cells, batch + 2);
        int[] tokens = new int[batch];
        StepPlan plan = new();
        StepResult result = new();
        DecodeRow[] rows = new DecodeRow[batch];
        for (int index = 0; index < batch; index++)
        {
            int[] prompt = [.. Enumerable.Range(0, PromptTokens).Select(at => ((at * 31) + (index * 17)) % 256)];
            tokens[index] = bare.Prefill(index, prompt, 0);
            plan.Clear();
            plan.Opening.Add(new SequenceStart(new SequenceId(index), SamplingOptions.Greedy, prompt, default));
            plan.Chunks.Add(new PrefillChunk(new SequenceId(index), prompt, 0, true));
            engine.Execute(plan, result);
            rows[index] = new DecodeRow(new SequenceId(index), result.Samples[0].TokenId, PromptTokens);
        }

        // In turns, so that whatever else the machine does meets both alike; the median step of each.
        double[] ours = new double[steps], theirs = new double[steps];
        for (int step = 0; step < steps; step++)
        {
            long before = Stopwatch.GetTimestamp();
            bare.Step(tokens, PromptTokens + step);
            theirs[step] = Stopwatch.GetElapsedTime(before).TotalMilliseconds;

            before = Stopwatch.GetTimestamp();
            plan.Clear();
            plan.Rows.AddRange(rows);
            plan.BatchTokens = batch;
            engine.Execute(plan, result);
            for (int index = 0; index < batch; index++) rows[index] = new DecodeRow(rows[index].Sequence, result.Samples[index].TokenId, PromptTokens + step + 1);
            ours[step] = Stopwatch.GetElapsedTime(before).TotalMilliseconds;
        }
        bool isEqual = rows.Select(row => row.TokenId).SequenceEqual(tokens);
        Array.Sort(ours);
        Array.Sort(theirs);
        double ratio = theirs[steps / 2] / ours[steps / 2];
        Console.WriteLine($"batch {batch,2}: libllama {theirs[steps / 2]:0.00} ms, engine {ours[steps / 2]:0.00} ms a step; engine reaches {ratio:P1} of libllama; same tokens: {isEqual}");
        return new
        {
            batch,
            libllama_step_ms = Math.Round(theirs[steps / 2], 3),
            engine_step_ms = Math.Round(ours[steps / 2], 3),
            engine_tokens_per_s = Math.Round(batch * 1000 / ours[steps / 2], 1),
            throughput_ratio = Math.Round(ratio, 4),
            same_tokens = isEqual,
        };
    }
}
