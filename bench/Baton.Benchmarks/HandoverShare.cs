using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
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

    public static async Task<int> RunAsync(string[] args)
    {
        int rounds = args.Length > 0 ? int.Parse(args[0]) : 15;
        string[] model = args.Length > 1 ? ["--model-path", args[1]] : [];
        string[] workers = ["--", "--threads", "1"];
        await using UpProcess apart = await UpProcess.StartReadyAsync(["--prefill-dp", "1", "--decode-dp", "1", .. model, .. workers]);
        await using UpProcess together = await UpProcess.StartReadyAsync(["--unified", "--prefill-dp", "1", .. model, .. workers]);
        using HttpClient http = new();

        List<object> rows = [];
        double worst = 0;
        foreach (int length in PromptLengths)
        {
            Row row = await MeasureAsync(http, together.Url, apart.Url, length, rounds);
            Console.WriteLine(
                $"{length,5} tokens: prefill {row.PrefillMs,8:0.00} ms   two tokens together {row.TogetherMs,8:0.00} ms, apart {row.ApartMs,8:0.00} ms   hand-over {row.CostMs,6:0.00} ms = {row.SharePercent:0.0} % (bar {BarPercent:0} %)");
            worst = Math.Max(worst, row.SharePercent);
            rows.Add(row);
        }

        ResultFile.Write("handover-share", $"dotnet run -c Release --project bench/Baton.Benchmarks -- handover-share {string.Join(' ', args)}".TrimEnd(), new { rounds, barPercent = BarPercent, rows });
        return worst <= BarPercent ? 0 : 1;
    }

    private static async Task<Row> MeasureAsync(HttpClient http, Uri together, Uri apart, int length, int rounds)
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
        return new Row(length, Median(prefill), Median(both), Median(detour), costMs, 100 * costMs / Median(prefill));
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

    private sealed record Row(int PromptTokens, double PrefillMs, double TogetherMs, double ApartMs, double CostMs, double SharePercent);
}
