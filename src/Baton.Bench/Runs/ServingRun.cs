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
    private const int WarmupOutputTokens = 32;

    /// <exception cref="BenchException">Nothing answers, or every warm-up request failed; the message carries the server's words.</exception>
    public async Task<BenchOutcome> RunAsync(CancellationToken ct)
    {
        (IReadOnlyList<BenchRequest> requests, byte[][] payloads) = await PrepareAsync(ct);
        return await MeasureAsync(requests, payloads, Arrivals(requests), ct);
    }

    /// <summary>Everything before the clock starts. The requests and their bodies can be sent several times (sweep, compare).</summary>
    public async Task<(IReadOnlyList<BenchRequest> Requests, byte[][] Payloads)> PrepareAsync(CancellationToken ct)
    {
        RequestBodyWriter bodies = await OpenAsync(ct);                                      // 1. model name
        DatasetOptions sized = await MeasureWordsAsync(bodies, ct);                          // 2. tokens per word, for texts
        IReadOnlyList<BenchRequest> requests = DatasetReader.Read(sized);                    // 3. dataset
        await WarmUpAsync(requests[0], bodies, ct);                                          // 4. warm-up, flush, pause
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
        JsonNode? serverInfo = settings.Backend.HasServerInfo ? await client.TryGetAsync("/get_server_info", time, ct) : null;
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
        return new RequestBodyWriter(settings.Backend, model ?? "", settings.Stream, settings.IgnoreEos, settings.ExtraRequestBody);
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
            byte[] body = bodies.Write(first, Math.Min(first.OutputTokens, WarmupOutputTokens));
            RequestRecord[] records = [.. Enumerable.Range(0, settings.WarmupRequests).Select(i => new RequestRecord(i, first))];
            RunClock clock = new(time);
            await Task.WhenAll(records.Select(record => client.SendAsync(body, record, clock, ct)));
            if (Array.TrueForAll(records, record => !record.IsSuccess))
            {
                RequestError error = records[0].Error!;
                throw new BenchException($"Warmup failed: {client.Options.BaseUrl}: {error.Label}: {error.Message}. Check --base-url, --backend and the lengths.");
            }
            observer.OnPhase($"Warmup completed with {settings.WarmupRequests} sequences. Starting main benchmark run...");
        }
        if (settings.FlushCache) await client.TryControlAsync(HttpMethod.Post, new Uri(client.Options.BaseUrl, "/flush_cache"), time, ct);
        await Task.Delay(PauseAfterWarmup, time, ct);
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
