using System.Diagnostics;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Baton.Testing.Gguf;
using Baton.Testing.Processes;

namespace Baton.Benchmarks;

/// <summary>What it costs to compute a prompt in one process and go on in another, as a share of computing the prompt.</summary>
/// <remarks>
/// Real processes, one rank a side, one compute thread a rank. All servers run at the same time and are asked in turns, so that
/// whatever else the machine does falls on all. Each is asked twice in a row and the second time counts: a process that comes behind another
/// one finds the caches cold, which was seen to cost it 0.5 ms and more, and not all roads come behind another process equally often. Three roads to the same two tokens: one unified worker; the two workers, both legs sent by
/// this client; and the two workers behind the router. The hand-over is the second less the first: rank resolution, claim, the KV link,
/// checks and import, less what overlaps with computing. What the router adds is reported beside it, and judged by its own benchmark.
/// </remarks>
internal static class HandoverShare
{
    private const double BarPercent = 5;
    private const int OrdinaryTokens = 1500;
    private const int WarmUpRounds = 3;

    /// <param name="args">Rounds of the longest prompt with the demo model (shorter ones get more, so that each takes as long); the same with a
    /// model of 152 million random weights whose cache is six times as large a token; and the prompt lengths, by commas.</param>
    public static async Task<int> RunAsync(string[] args)
    {
        int demoRounds = args.Length > 0 ? int.Parse(args[0]) : 41;
        int midRounds = args.Length > 1 ? int.Parse(args[1]) : 3;

        int[] lengths = [.. (args.Length > 2 ? args[2] : "256,1024,1900").Split(',').Select(int.Parse)];

        List<Row> rows = [];
        if (demoRounds > 0) rows.AddRange(await MeasureModelAsync("demo", modelPath: null, demoRounds, lengths));
        if (midRounds > 0) rows.AddRange(await MeasureModelAsync("mid", GgufWriter.EnsureInTemp(GgufModelShape.Mid, "mid"), midRounds, lengths));

        string command = $"dotnet run -c Release --project bench/Baton.Benchmarks -- handover-share {string.Join(' ', args)}".TrimEnd();
        ResultFile.Write(demoRounds > 0 ? "handover-share" : "handover-share-mid", command, new { barPercent = BarPercent, rows });
        return rows.TrueForAll(row => row.SharePercent <= BarPercent) ? 0 : 1;
    }

    private static async Task<List<Row>> MeasureModelAsync(string name, string? modelPath, int rounds, int[] lengths)
    {
        string[] model = modelPath is null ? [] : ["--model-path", modelPath];
        string[] workers = ["--threads", "1", "--context-length", "2048"];
        await using UpProcess pair = await UpProcess.StartReadyAsync(["--prefill-dp", "1", "--decode-dp", "1", .. model, .. workers]);
        await using UpProcess unified = await UpProcess.StartReadyAsync(["--unified", "--prefill-dp", "1", .. model, .. workers]);
        using HttpClient http = new() { Timeout = TimeSpan.FromMinutes(5) };
        Roads roads = new(http, unified.Url, pair.Url, pair.ChildUrl("prefill-0"), pair.ChildUrl("decode-0"), await BootstrapPortAsync(http, pair.Url));

        List<Row> rows = [];
        foreach (int length in lengths)
        {
            Row row = await MeasureAsync(roads, name, length, rounds * lengths.Max() / length);
            Console.WriteLine(
                $"{name} {length,5} tokens: prefill {row.PrefillMs,8:0.00} ms   two tokens: unified {row.UnifiedMs,8:0.00} ms, pair {row.PairMs,8:0.00} ms, behind the router {row.RoutedMs,8:0.00} ms   "
                + $"hand-over {row.HandoverMs,6:0.00} ms = {row.SharePercent:0.0} % of prefill (bar {BarPercent:0} %), router {row.RouterMs:0.00} ms");
            rows.Add(row);
        }
        return rows;
    }

    private static async Task<Row> MeasureAsync(Roads roads, string model, int length, int rounds)
    {
        Random random = new(length);
        List<double> prefill = [], unified = [], pair = [], routed = [], handover = [], router = [];
        for (int i = -WarmUpRounds; i < rounds; i++)
        {
            int[] prompt = [.. Enumerable.Range(0, length).Select(_ => random.Next(OrdinaryTokens))];
            double[] ms = new double[4];
            // In turns, and the order rotates, so that no road always comes behind the same one.
            for (int turn = 0; turn < ms.Length; turn++)
            {
                int road = (turn + i + WarmUpRounds) % ms.Length;
                await AskAsync(road);
                ms[road] = await AskAsync(road);
            }

            Task<double> AskAsync(int road) => road switch
            {
                0 => roads.UnifiedAsync(prompt, newTokens: 1),
                1 => roads.UnifiedAsync(prompt, newTokens: 2),
                2 => roads.PairAsync(prompt, newTokens: 2),
                _ => roads.RoutedAsync(prompt, newTokens: 2),
            };
            if (i < 0) continue; // for the just-in-time compiler
            prefill.Add(ms[0]);
            unified.Add(ms[1]);
            pair.Add(ms[2]);
            routed.Add(ms[3]);
            handover.Add(ms[2] - ms[1]);
            router.Add(ms[3] - ms[2]);
        }

        double handoverMs = Median(handover);
        return new Row(
            model, rounds, length, Median(prefill), Median(unified), Median(pair), Median(routed), handoverMs, 100 * handoverMs / Median(prefill), Median(router));
    }

    private static async Task<int> BootstrapPortAsync(HttpClient http, Uri router)
    {
        JsonNode workers = (await http.GetFromJsonAsync<JsonNode>(new Uri(router, "workers")))!["workers"]!;
        return workers.AsArray().First(worker => (string?)worker!["worker_type"] == "prefill")!["bootstrap_port"]!.GetValue<int>();
    }

    /// <summary>The three ways to ask, each timed in milliseconds from the request to the whole answer.</summary>
    private sealed class Roads(HttpClient http, Uri unified, Uri router, Uri prefill, Uri decode, int bootstrapPort)
    {
        private long _room = Random.Shared.NextInt64(1, 1L << 40);

        public Task<double> UnifiedAsync(int[] prompt, int newTokens)
        {
            byte[] body = Bytes(Body(prompt, newTokens));
            return TimeAsync(() => [AskAsync(unified, body)]);
        }

        public Task<double> RoutedAsync(int[] prompt, int newTokens)
        {
            byte[] body = Bytes(Body(prompt, newTokens));
            return TimeAsync(() => [AskAsync(router, body)]);
        }

        /// <summary>Both legs at once, as a router sends them; decode's answer is the answer.</summary>
        public async Task<double> PairAsync(int[] prompt, int newTokens)
        {
            JsonObject json = Body(prompt, newTokens);
            (json["bootstrap_host"], json["bootstrap_port"], json["bootstrap_room"]) = ("127.0.0.1", bootstrapPort, ++_room);
            byte[] body = Bytes(json);
            Task? leg = null;
            double elapsed = await TimeAsync(() =>
            {
                leg = AskAsync(prefill, body);
                return [AskAsync(decode, body)];
            });
            await leg!;
            return elapsed;
        }

        private static async Task<double> TimeAsync(Func<Task[]> ask)
        {
            long start = Stopwatch.GetTimestamp();
            await Task.WhenAll(ask());
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        private static JsonObject Body(int[] prompt, int newTokens) => new()
        {
            ["input_ids"] = new JsonArray([.. prompt.Select(id => JsonValue.Create(id))]),
            ["sampling_params"] = new JsonObject { ["max_new_tokens"] = newTokens, ["temperature"] = 0, ["ignore_eos"] = true },
        };

        private static byte[] Bytes(JsonObject body) => Encoding.UTF8.GetBytes(body.ToJsonString());

        private async Task AskAsync(Uri server, byte[] body)
        {
            using ByteArrayContent content = new(body) { Headers = { ContentType = new("application/json") } };
            using HttpResponseMessage response = await http.PostAsync(new Uri(server, "generate"), content);
            string text = await response.Content.ReadAsStringAsync();
            if (!response.IsSuccessStatusCode) throw new InvalidOperationException($"{server} answered {(int)response.StatusCode}: {text}");
        }
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private sealed record Row(
        string Model, int Rounds, int PromptTokens, double PrefillMs, double UnifiedMs, double PairMs, double RoutedMs, double HandoverMs, double SharePercent, double RouterMs);
}
