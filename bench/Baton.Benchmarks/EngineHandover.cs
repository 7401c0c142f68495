using System.Diagnostics;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Model;
using Baton.Testing.Gguf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Benchmarks;

/// <summary>Export from one engine and import into another, without a network, beside a plain copy of the same bytes and the prefill that made them.</summary>
internal static class EngineHandover
{
    internal static Task<int> Run(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0]) : 15;
        string path = GgufWriter.EnsureInTemp(GgufModelShape.Mid, "mid");
        using LlamaModel model = LlamaModel.Load(new LlamaModelOptions { ModelPath = path }, NullLogger.Instance);
        List<object> figures = [];
        foreach (int tokens in new[] { 64, 256, 512 }) figures.Add(Measure(model, tokens, rounds));
        ResultFile.Write("engine-handover", $"dotnet run -c Release --project bench/Baton.Benchmarks -- engine-handover {rounds}", new { model = "152 M parameters, F16, random weights", figures });
        return Task.FromResult(0);
    }

    private static object Measure(LlamaModel model, int tokens, int rounds)
    {
        LlamaEngineOptions options = new() { MaxSequences = 2, CellCount = 2048, ContextTokens = 2048 };
        using LlamaEngine source = model.CreateEngine(options, TimeProvider.System);
        using LlamaEngine target = model.CreateEngine(options, TimeProvider.System);
        SequenceId id = new(0);
        BootstrapRoom room = new(1);
        StepPlan plan = new();
        StepResult result = new();
        int[] prompt = [.. Enumerable.Range(0, tokens).Select(at => at * 31 % 256)];
        plan.Opening.Add(new SequenceStart(id, SamplingOptions.Greedy, prompt, default));
        plan.Chunks.Add(new PrefillChunk(id, prompt, 0, true));
        source.Execute(plan, result);
        double prefill = result.Elapsed.TotalMilliseconds;

        byte[] copyFrom = new byte[source.Info.Kv.PayloadBytes(tokens)], copyTo = new byte[copyFrom.Length];
        double[] export = new double[rounds], import = new double[rounds], copy = new double[rounds], check = new double[rounds];
        for (int round = 0; round < rounds; round++)
        {
            long before = Stopwatch.GetTimestamp();
            copyFrom.AsSpan().CopyTo(copyTo);
            copy[round] = Stopwatch.GetElapsedTime(before).TotalMilliseconds;

            plan.Clear();
            plan.Exports.Add(new KvExport(id, room, new KvRange(0, tokens)));
            source.Execute(plan, result);
            export[round] = result.Elapsed.TotalMilliseconds;
            KvBuffer payload = result.Exported[0].Payload;

            before = Stopwatch.GetTimestamp();
            if (!KvPayloadCheck.IsFinite(payload.Span, source.Info.Kv, tokens)) throw new InvalidOperationException("exported cells are not finite");
            check[round] = Stopwatch.GetElapsedTime(before).TotalMilliseconds;

            plan.Clear();
            plan.Imports.Add(new KvImport(id, room, new KvRange(0, tokens), payload));
            target.Execute(plan, result);
            if (result.Failures.Count > 0) throw new InvalidOperationException(result.Failures[0].Message);
            import[round] = result.Elapsed.TotalMilliseconds;
            plan.Clear();
            plan.Closing.Add(id);
            target.Execute(plan, result);
        }
        foreach (double[] series in new[] { export, import, copy, check }) Array.Sort(series);
        int middle = rounds / 2;
        double gigabytes = copyFrom.Length / 1e6;
        Console.WriteLine(
            $"{tokens} tokens, {copyFrom.Length / 1e6:0.0} MB: memcpy {gigabytes / copy[middle]:0.0} GB/s, export {gigabytes / export[middle]:0.0}, import {gigabytes / import[middle]:0.0} "
            + $"(finite check alone {gigabytes / check[middle]:0.0}); export + import are {(export[middle] + import[middle]) / prefill:P2} of the prefill");
        return new
        {
            tokens,
            bytes = copyFrom.Length,
            memcpy_gb_per_s = Math.Round(gigabytes / copy[middle], 2),
            export_gb_per_s = Math.Round(gigabytes / export[middle], 2),
            import_gb_per_s = Math.Round(gigabytes / import[middle], 2),
            finite_check_gb_per_s = Math.Round(gigabytes / check[middle], 2),
            export_to_memcpy_ratio = Math.Round(copy[middle] / export[middle], 3),
            import_to_memcpy_ratio = Math.Round(copy[middle] / import[middle], 3),
            share_of_prefill = Math.Round((export[middle] + import[middle]) / prefill, 5),
            prefill_ms = Math.Round(prefill, 1),
        };
    }
}
