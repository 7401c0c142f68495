using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Baton.Testing.Gguf;
using Baton.Testing.Processes;

namespace Baton.Benchmarks;

/// <summary>What it costs to compute a prompt in one process and go on in another, as a share of computing the prompt.</summary>
/// <remarks>
/// Real processes, one rank a side, one compute thread a rank. Both servers run at the same time and are asked in turns, so that
/// whatever else the machine does falls on both. The cost is the whole detour as a client sees it: router, two HTTP requests,
/// rank resolution, the KV link, checks and import, minus what overlaps with computing.
/// </remarks>
internal static class HandoverShare
{
    private const double BarPercent = 5;
    private const int OrdinaryTokens = 1500;
    private static readonly int[] PromptLengths = [256, 1024, 1900];

    /// <param name="args">Rounds with the demo model, and with a model of 152 million random weights whose cache is six times as large a token.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        int demoRounds = args.Length > 0 ? int.Parse(args[0]) : 21;
        int midRounds = args.Length > 1 ? int.Parse(args[1]) : 3;

        List<Row> rows = [];
        rows.AddRange(await MeasureModelAsync("demo", modelPath: null, demoRounds));
        if (midRounds > 0) rows.AddRange(await MeasureModelAsync("mid", GgufWriter.EnsureInTemp(GgufModelShape.Mid, "mid"), midRounds));

        string command = $"dotnet run -c Release --project bench/Baton.Benchmarks -- handover-share {string.Join(' ', args)}".TrimEnd();
        ResultFile.Write("handover-share", command, new { barPercent = BarPercent, rows });
        return rows.TrueForAll(row => row.SharePercent <= BarPercent) ? 0 : 1;
    }

    private static async Task<List<Row>> MeasureModelAsync(string name, string? modelPath, int rounds)
    {
        string[] model = modelPath is null ? [] : ["--model-path", modelPath];
        string[] workers = ["--threads", "1", "--context-length", "2048"];
        await using UpProcess apart = await UpProcess.StartReadyAsync(["--prefill-dp", "1", "--decode-dp", "1", .. model, .. workers]);
        await using UpProcess together = await UpProcess.StartReadyAsync(["--unified", "--prefill-dp", "1", .. model, .. workers]);
        using HttpClient http = new() { Timeout = TimeSpan.FromMinutes(5) };

        List<Row> rows = [];
        foreach (int length in PromptLengths)
        {
            Row row = await MeasureAsync(http, together.Url, apart.Url, name, length, rounds);
            Console.WriteLine(
                $"{name} {length,5} tokens: prefill {row.PrefillMs,8:0.00} ms   two tokens together {row.TogetherMs,8:0.00} ms, apart {row.ApartMs,8:0.00} ms   hand-over {row.CostMs,6:0.00} ms = {row.SharePercent:0.0} % (bar {BarPercent:0} %)");
            rows.Add(row);
        }
        return rows;
    }

    private static async Task<Row> MeasureAsync(HttpClient http, Uri together, Uri apart, string model, int length, int rounds)
    {
        Random random = new(length);
        List<double> prefill = [], both = [], cost = [], detour = [];
        for (int i = -2; i < rounds; i++)
        {
            int[] prompt = [.. Enumerable.Range(0, length).Select(_ => random.Next(OrdinaryTokens))];
            double one = await AskAsync(http, together, prompt, newTokens: 1);
            // In turns, and the order changes, so that neither always comes second.
            double split = i % 2 == 0 ? await AskAsync(http, apart, prompt, newTokens: 2) : 0;
            double whole = await AskAsync(http, together, prompt, newTokens: 2);
            if (i % 2 != 0) split = await AskAsync(http, apart, prompt, newTokens: 2);
            if (i < 0) continue; // Two rounds for the just-in-time compiler.
            prefill.Add(one);
            both.Add(whole);
            detour.Add(split);
            cost.Add(split - whole);
        }

        double costMs = Median(cost);
        return new Row(model, rounds, length, Median(prefill), Median(both), Median(detour), costMs, 100 * costMs / Median(prefill));
    }

    /// <returns>Milliseconds from the request to the whole answer.</returns>
    private static async Task<double> AskAsync(HttpClient http, Uri server, int[] prompt, int newTokens)
    {
        JsonObject body = new()
        {
            ["input_ids"] = new JsonArray([.. prompt.Select(id => JsonValue.Create(id))]),
            ["sampling_params"] = new JsonObject { ["max_new_tokens"] = newTokens, ["temperature"] = 0, ["ignore_eos"] = true },
        };
        long start = Stopwatch.GetTimestamp();
        using HttpResponseMessage response = await http.PostAsJsonAsync(new Uri(server, "generate"), body);
        string text = await response.Content.ReadAsStringAsync();
        double elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (!response.IsSuccessStatusCode) throw new InvalidOperationException($"{server} answered {(int)response.StatusCode}: {text}");
        return elapsed;
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private sealed record Row(string Model, int Rounds, int PromptTokens, double PrefillMs, double TogetherMs, double ApartMs, double CostMs, double SharePercent);
}
