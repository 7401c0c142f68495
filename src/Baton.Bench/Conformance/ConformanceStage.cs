using System.Net;
using System.Text;
using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>What one check works with: a client of the router, and the workers behind it.</summary>
public sealed class ConformanceStage(
    HttpClient client, HttpClient? admin, IReadOnlyList<ScriptedWorker> prefill, IReadOnlyList<ScriptedWorker> decode, ConformanceSettings settings, Func<ValueTask> end) : IAsyncDisposable
{
    /// <summary>Talks to the router's data plane.</summary>
    public HttpClient Client => client;

    /// <summary>Talks to the router's control plane.</summary>
    /// <exception cref="NotApplicableException">The router is driven without it.</exception>
    public HttpClient Admin => admin ?? throw new NotApplicableException("needs the router's control plane: run without fixed worker ports");

    public bool HasAdmin => admin is not null;

    public IReadOnlyList<ScriptedWorker> Prefill => prefill;

    public IReadOnlyList<ScriptedWorker> Decode => decode;

    public ConformanceSettings Settings => settings;

    /// <summary>Legs that reached a prefill worker.</summary>
    public IReadOnlyList<ScriptedExchange> PrefillLegs => [.. prefill.SelectMany(Legs)];

    public IReadOnlyList<ScriptedExchange> DecodeLegs => [.. decode.SelectMany(Legs)];

    public static IEnumerable<ScriptedExchange> Legs(ScriptedWorker worker) => worker.Seen.Where(e => e.Target is "/generate" or "/v1/completions" or "/v1/chat/completions");

    /// <summary>What every worker answers when a check does not say otherwise.</summary>
    public static Task Ok(ScriptedExchange exchange) => exchange.Method == "POST" && exchange.Text.Contains("\"stream\":true", StringComparison.Ordinal)
        ? StreamAsync(exchange, """{"text":"hello","meta_info":{"id":"x"}}""", "[DONE]")
        : exchange.RespondAsync(200, """{"text":"hello","meta_info":{"id":"x"}}""");

    public static async Task StreamAsync(ScriptedExchange exchange, params string[] events)
    {
        await exchange.StartStreamAsync();
        foreach (string one in events) await exchange.WriteChunkAsync($"data: {one}\n\n");
        await exchange.EndStreamAsync();
    }

    public void OnPrefill(Func<ScriptedExchange, Task> behave) => Each(prefill, w => w.OnRequest = behave);

    public void OnDecode(Func<ScriptedExchange, Task> behave) => Each(decode, w => w.OnRequest = behave);

    public Task<HttpResponseMessage> PostAsync(string path, string json, CancellationToken ct = default) => SendAsync(path, json, HttpCompletionOption.ResponseContentRead, ct);

    /// <summary>Returns at the head of the answer.</summary>
    public Task<HttpResponseMessage> OpenAsync(string path, string json, CancellationToken ct = default) => SendAsync(path, json, HttpCompletionOption.ResponseHeadersRead, ct);

    /// <summary>Sends a request that only matters for what the workers see.</summary>
    /// <exception cref="ConformanceException">It was not answered by 200.</exception>
    public async Task<string> AskAsync(string path, string json)
    {
        using HttpResponseMessage answer = await PostAsync(path, json);
        string text = await answer.Content.ReadAsStringAsync();
        Expect(answer.StatusCode == HttpStatusCode.OK, $"{path} was answered {(int)answer.StatusCode}: {text}");
        return text;
    }

    /// <summary>Waits until so many legs of either kind arrived: the client can have its answer before prefill was reached.</summary>
    /// <exception cref="ConformanceException">They never came.</exception>
    public Task ArrivedAsync(int legs = 1) => UntilAsync(() => PrefillLegs.Count >= legs && DecodeLegs.Count >= legs, $"{legs} legs arrived on either side");

    /// <exception cref="ConformanceException">Not so.</exception>
    public static void Expect(bool isSo, string seen)
    {
        if (!isSo) throw new ConformanceException(seen);
    }

    /// <summary>Waits for what another flow brings about.</summary>
    /// <exception cref="ConformanceException">It never came true.</exception>
    public async Task UntilAsync(Func<bool> isSo, string what)
    {
        long began = Now;
        while (!isSo())
        {
            if (Since(began) > settings.Patience) throw new ConformanceException($"within {settings.Patience.TotalSeconds} s it never came true that {what}");
            await PauseAsync(TimeSpan.FromMilliseconds(2));
        }
    }

    /// <summary>Waits for a signal and says when it came.</summary>
    /// <exception cref="ConformanceException">It never came.</exception>
    public async Task<long> WhenAsync(Task<long> signal, string what)
    {
        try
        {
            return await signal.WaitAsync(settings.Patience);
        }
        catch (TimeoutException)
        {
            throw new ConformanceException($"within {settings.Patience.TotalSeconds} s it never came true that {what}");
        }
    }

    /// <summary>Credits that the router holds on its workers, by its own account; null when it has none.</summary>
    public async Task<int?> CreditsAsync()
    {
        if (admin is null) return null;
        using JsonDocument list = JsonDocument.Parse(await admin.GetStringAsync("/workers"));
        return list.RootElement.GetProperty("workers").EnumerateArray().Sum(w => w.TryGetProperty("load", out JsonElement load) ? load.GetInt32() : 0);
    }

    public static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    /// <summary>A time stamp for <see cref="Since"/> and <see cref="Milliseconds"/>.</summary>
    public long Now => settings.Time.GetTimestamp();

    public TimeSpan Since(long began) => settings.Time.GetElapsedTime(began);

    public double Milliseconds(long from, long to) => settings.Time.GetElapsedTime(from, to).TotalMilliseconds;

    public Task PauseAsync(TimeSpan time) => Task.Delay(time, settings.Time);

    public static string Ms(double milliseconds) => $"{milliseconds:0.0} ms";

    public ValueTask DisposeAsync() => end();

    private static void Each(IReadOnlyList<ScriptedWorker> workers, Action<ScriptedWorker> set)
    {
        foreach (ScriptedWorker worker in workers) set(worker);
    }

    private async Task<HttpResponseMessage> SendAsync(string path, string json, HttpCompletionOption until, CancellationToken ct)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") };
        return await client.SendAsync(request, until, ct).WaitAsync(settings.Patience, ct);
    }
}
