using Baton.Bench.Conformance;

namespace Baton.Testing.Http;

/// <summary>Scripted workers that misbehave by seed: they refuse, hang, reset, cut streams, answer errors and garbage, and fall ill and recover.</summary>
public sealed class ChaosFleet : IAsyncDisposable
{
    private const string Answer = """{"text":"hello","meta_info":{"input_token_logprobs":[[-1.5,7,null]],"finish_reason":{"type":"stop"}}}""";
    private readonly Lock _lock = new();
    private readonly Random _random;

    public ChaosFleet(int prefills, int decodes, int seed)
    {
        _random = new Random(seed);
        Prefill = [.. Enumerable.Range(0, prefills).Select(i => New(i, $$"""{"dp_size":{{i % 3 + 1}},"pd_cancel_anytime":{{(i % 2 == 0 ? "true" : "false")}}}"""))];
        Decode = [.. Enumerable.Range(0, decodes).Select(i => New(i, $$"""{"dp_size":{{i % 2 + 1}}}"""))];
    }

    public IReadOnlyList<ScriptedWorker> Prefill { get; }

    public IReadOnlyList<ScriptedWorker> Decode { get; }

    /// <summary>From now on everybody behaves: the end of a run must be quiet.</summary>
    public bool IsCalm { get; set; }

    /// <summary>Lets one random worker fall ill or recover, or kills all of its connections.</summary>
    public void Disturb()
    {
        ScriptedWorker[] all = [.. Prefill, .. Decode];
        ScriptedWorker worker = all[Next(all.Length)];
        switch (Next(3))
        {
            case 0:
                worker.OnHealth = e => e.RespondAsync(503, "");
                break;
            case 1:
                worker.OnHealth = null;
                break;
            default:
                worker.ResetAll();
                break;
        }
    }

    public void Heal()
    {
        IsCalm = true;
        foreach (ScriptedWorker worker in Prefill.Concat(Decode)) worker.OnHealth = null;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ScriptedWorker worker in Prefill.Concat(Decode)) await worker.DisposeAsync();
    }

    private ScriptedWorker New(int index, string info) => new(BehaveAsync, info.Replace("}", $",\"instance_id\":\"{index}\"}}", StringComparison.Ordinal)) { IsRecording = false };

    private async Task BehaveAsync(ScriptedExchange exchange)
    {
        bool stream = exchange.Text.Contains("\"stream\":true", StringComparison.Ordinal);
        switch (IsCalm ? 99 : Next(100))
        {
            case < 4:
                exchange.Reset();
                return;
            case < 7:
                await exchange.RespondAsync(400 + Next(30), """{"error":{"message":"no"}}""");
                return;
            case < 11:
                await exchange.RespondAsync(500 + Next(5), """{"detail":"broken"}""");
                return;
            case < 13:
                await exchange.RespondAsync(503, "{}", ("Retry-After", "0"));
                return;
            case < 15:
                await exchange.RespondAsync(200, "\u0000\u0001 this is no json {{{");
                return;
            case < 17:
                await exchange.WriteRawAsync("HTTP/9.9 banana\r\n\r\n");
                exchange.Reset();
                return;
            case < 20:
                await Task.Delay(Next(100));
                exchange.Reset();
                return;
            case < 22:
                await exchange.RespondAsync(200, """{"meta_info":{"finish_reason":{"type":"abort","message":"gone"}}}""");
                return;
            case < 25:
                // Longer than the router's deadline for a first byte: ends when the router closes.
                await exchange.HangAsync();
                return;
            case < 30:
                await exchange.StartStreamAsync();
                await exchange.WriteChunkAsync($"data: {Answer}\n\n");
                await Task.Delay(Next(10));
                exchange.Reset();
                return;
        }
        await Task.Delay(Next(5));
        if (!stream)
        {
            await exchange.RespondAsync(200, Answer);
            return;
        }
        await exchange.StartStreamAsync();
        for (int i = Next(6); i >= 0; i--)
        {
            await exchange.WriteChunkAsync($"data: {Answer}\n\n");
            if (Next(2) == 0) await Task.Delay(1);
        }
        await exchange.WriteChunkAsync("data: [DONE]\n\n");
        await exchange.EndStreamAsync();
    }

    private int Next(int bound)
    {
        lock (_lock) return _random.Next(bound);
    }
}
