using System.Text.Json.Nodes;
using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;

namespace Baton.Bench.Runs;

/// <summary>What a person may want to see while a measurement runs.</summary>
public interface IBenchObserver : ILoadObserver
{
    void OnPhase(string what);

    void OnRunStarting(int requests);
}

/// <summary>One measurement as bench_serving makes it: dataset, warm-up, load, figures.</summary>
public sealed class ServingRun(BenchSettings settings, BenchClient client, TimeProvider time, IBenchObserver observer)
{
    private static readonly TimeSpan PauseAfterWarmup = TimeSpan.FromSeconds(1);
    // The server waits 60 s to become idle.
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(65);
    internal const int WarmupOutputTokens = 32;

    /// <exception cref="BenchException">Nothing answers, or every warm-up request failed; the message carries the server's words.</exception>
    public async Task<BenchOutcome> RunAsync(CancellationToken ct)
    {
        (IReadOnlyList<BenchRequest> requests, byte[][] payloads) = await PrepareAsync(ct);
        return await MeasureAsync(requests, payloads, Arrivals(requests), ct);
    }

    /// <summary>Everything before the clock starts. The requests and their bodies can be sent several times (sweep, compare).</summary>
    public async Task<(IReadOnlyList<BenchRequest> Requests, byte[][] Payloads)> PrepareAsync(CancellationToken ct)
    {
        await Readiness.WaitAsync(settings, client, time, observer.OnPhase, ct);             // 1. somebody listens
        RequestBodyWriter bodies = await OpenAsync(ct);                                      // 2. model name
        DatasetOptions sized = await MeasureWordsAsync(bodies, ct);                          // 3. tokens per word, for texts
        IReadOnlyList<BenchRequest> requests = DatasetReader.Read(sized);                    // 4. dataset
        await WarmUpAsync(requests[0], bodies, ct);                                          // 5. warm-up, flush, pause
        return (requests, [.. requests.Select(request => bodies.Write(request))]);
    }

    /// <summary>Sends prepared requests and reports on them.</summary>
    /// <param name="arrivals">Intended times from now, ascending.</param>
    public async Task<BenchOutcome> MeasureAsync(IReadOnlyList<BenchRequest> requests, byte[][] payloads, TimeSpan[] arrivals, CancellationToken ct)
    {
        await ProfileAsync("start_profile", ct);
        observer.OnRunStarting(requests.Count);
        RunClock clock = new(time);
        LoadRun load = new(client, new LoadOptions { MaxConcurrency = settings.MaxConcurrency, PacingSlack = settings.PacingSlack }, observer);
        LoadResult result = await load.RunAsync(requests, payloads, arrivals, clock, ct);
        await ProfileAsync("stop_profile", ct);
        // bench_serving's duration includes this request too.
        JsonNode? serverInfo = settings.Backend.HasServerInfo ? await client.TryGetAsync("/server_info", time, ct) ?? await client.TryGetAsync("/get_server_info", time, ct) : null;
        TimeSpan duration = clock.Now;
        ServingFigures figures = ServingFigures.From(result.Records, duration, settings.Goals);
        ReportHeader header = new(
            settings.Backend.Name, settings.UseTraceTimestamps ? null : settings.RequestRate, settings.MaxConcurrency, AcceptLength(serverInfo));
        return new BenchOutcome(header, figures, PdFigures.From(result.Records), result.Records, serverInfo);
    }

    public TimeSpan[] Arrivals(IReadOnlyList<BenchRequest> requests) => settings.UseTraceTimestamps
        ? ArrivalSchedule.FromTrace(requests, settings.TraceSlowdown)
        // Not the dataset's generator: another dataset with the same seed must not move the arrivals.
        : ArrivalSchedule.Poisson(requests.Count, settings.RequestRate, new Random(unchecked((settings.Dataset.Seed * 397) ^ 0x5EED)));

    private async Task<RequestBodyWriter> OpenAsync(CancellationToken ct)
    {
        string? model = settings.Model;
        if (model is null)
        {
            JsonNode? models = await client.TryGetAsync("/v1/models", time, ct);
            model = (models?["data"] as JsonArray)?.FirstOrDefault()?["id"]?.GetValue<string>();
        }
        if (model is null && settings.Backend.Api != BenchApi.Native)
            throw new BenchException($"{client.Options.BaseUrl}v1/models names no model. Check --base-url, or give --model.");
        return settings.Bodies(model ?? "");
    }

    /// <summary>One request of a hundred words tells how many tokens a word of the synthetic texts has under the server's tokenizer.</summary>
    private async Task<DatasetOptions> MeasureWordsAsync(RequestBodyWriter bodies, CancellationToken ct)
    {
        const int Words = 100;
        DatasetOptions dataset = settings.Dataset with { TextOnly = settings.Backend.Api == BenchApi.Chat };
        if (dataset.Name is "random-ids" or "trace" or "mooncake" && !dataset.TextOnly) return dataset;
        BenchRequest probe = new() { Text = new SyntheticText(new Random(dataset.Seed), 1).Write(Words), PromptTokens = 0, OutputTokens = 1 };
        RequestRecord record = new(0, probe);
        await client.SendAsync(bodies.Write(probe), record, new RunClock(time), ct);
        return record.PromptTokens > 0 ? dataset with { TokensPerWord = (double)record.PromptTokens / Words } : dataset;
    }

    private async Task WarmUpAsync(BenchRequest first, RequestBodyWriter bodies, CancellationToken ct)
    {
        if (settings.WarmupRequests > 0)
        {
            observer.OnPhase($"Starting warmup with {settings.WarmupRequests} sequences...");
            // Where prompts share a prefix, only that: the first request is to find in the cache what the others find, and not itself.
            BenchRequest warm = first.SharedPrefix is { } prefix ? first with { Text = prefix } : first;
            byte[] body = bodies.Write(warm, Math.Min(first.OutputTokens, WarmupOutputTokens));
            BenchRequest[] copies = [.. Enumerable.Repeat(warm, settings.WarmupRequests)];
            LoadRun load = new(client, new LoadOptions { MaxConcurrency = settings.MaxConcurrency });
            IReadOnlyList<RequestRecord> records = (await load.RunAsync(copies, [.. copies.Select(_ => body)], new TimeSpan[copies.Length], new RunClock(time), ct)).Records;
            if (records.All(record => !record.IsSuccess))
            {
                RequestError error = records[0].Error!;
                throw new BenchException($"Warmup failed: {client.Options.BaseUrl}: {error.Label}: {error.Message}. Check --base-url, --backend and the lengths.");
            }
            observer.OnPhase($"Warmup completed with {settings.WarmupRequests} sequences. Starting main benchmark run...");
        }
        if (settings.FlushCache) await FlushAsync(ct);
        await Task.Delay(PauseAfterWarmup, time, ct);
    }

    /// <exception cref="BenchException">The cache was not flushed: the figures would be those of a warm one.</exception>
    private async Task FlushAsync(CancellationToken ct)
    {
        Uri url = new(client.Options.BaseUrl, settings.Backend.FlushPath);
        // The router says 200 and in its body whether every worker did.
        if (await client.TryControlAsync(HttpMethod.Post, url, time, ct, FlushTimeout) is not { } answer || answer is JsonObject { } rows && rows["success"]?.GetValue<bool>() == false)
            throw new BenchException($"--flush-cache: POST {url} did not flush the cache. Leave --flush-cache out, or check that the server has this route and is idle.");
    }

    private async Task ProfileAsync(string route, CancellationToken ct)
    {
        foreach (Uri url in settings.ProfileUrls)
        {
            if (await client.TryControlAsync(HttpMethod.Post, new Uri(url, route), time, ct) is null)
                observer.OnPhase($"WARNING: {new Uri(url, route)} did not answer 200: no profile from there.");
        }
    }

    private static double? AcceptLength(JsonNode? serverInfo)
    {
        JsonNode? worker = serverInfo?["decode"] is JsonArray { Count: > 0 } decode ? decode[0] : serverInfo;
        JsonNode? first = worker?["internal_states"] is JsonArray { Count: > 0 } states ? states[0] : null;
        return first?["avg_spec_accept_length"] is JsonValue value && value.TryGetValue(out double accepted) ? accepted : null;
    }
}
