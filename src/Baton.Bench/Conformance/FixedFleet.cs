using System.Net;

namespace Baton.Bench.Conformance;

/// <summary>Workers on given ports for the whole run, for a router that was started with them on its command line.</summary>
public sealed class FixedFleet : IConformanceFleet
{
    private const int GoodInARow = 3;
    private const string SettleText = "\"settle\"";
    private static readonly TimeSpan LatePrefill = TimeSpan.FromSeconds(5);
    private readonly HttpClient _client;
    private readonly List<ScriptedWorker> _prefill = [];
    private readonly List<ScriptedWorker> _decode = [];
    private readonly int _prefillDpSize, _decodeDpSize;
    private readonly ConformanceSettings _settings;

    /// <exception cref="System.Net.Sockets.SocketException">A port is taken.</exception>
    public FixedFleet(Uri router, string? apiKey, IPAddress host, IEnumerable<int> prefillPorts, IEnumerable<int> decodePorts, int prefillDpSize, int decodeDpSize, ConformanceSettings settings)
    {
        (_client, _settings, _prefillDpSize, _decodeDpSize) = (RouterClient.Create(router, apiKey), settings, prefillDpSize, decodeDpSize);
        foreach (int port in prefillPorts) _prefill.Add(new(ConformanceStage.Ok, RouterClient.ServerInfo("prefill", prefillDpSize), new IPEndPoint(host, port)));
        foreach (int port in decodePorts) _decode.Add(new(ConformanceStage.Ok, RouterClient.ServerInfo("decode", decodeDpSize), new IPEndPoint(host, port)));
    }

    public IReadOnlyList<ScriptedWorker> Prefill => _prefill;

    public IReadOnlyList<ScriptedWorker> Decode => _decode;

    public async Task<ConformanceStage> StageAsync(ConformanceCheck check, CancellationToken ct)
    {
        if (check.IsIpv6) throw new NotApplicableException("the fixed workers listen on one address");
        if (check.PrefillCount > _prefill.Count || check.DecodeCount > _decode.Count)
            throw new NotApplicableException($"needs {check.PrefillCount} prefill and {check.DecodeCount} decode workers, and {_prefill.Count} and {_decode.Count} ports were given");
        if ((check.PrefillDpSize, check.DecodeDpSize) is not (1, 1) && (check.PrefillDpSize, check.DecodeDpSize) != (_prefillDpSize, _decodeDpSize))
            throw new NotApplicableException($"needs dp sizes {check.PrefillDpSize} and {check.DecodeDpSize}, and the fixed workers report {_prefillDpSize} and {_decodeDpSize}");
        await SettleAsync(ct);
        return new ConformanceStage(_client, null, _prefill, _decode, _settings, () => ValueTask.CompletedTask);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        foreach (ScriptedWorker worker in _prefill.Concat(_decode)) await worker.DisposeAsync();
    }

    /// <summary>Everybody behaves until the router has got over the check before: breakers close, health comes back.</summary>
    private async Task SettleAsync(CancellationToken ct)
    {
        ScriptedWorker[] all = [.. _prefill, .. _decode];
        foreach (ScriptedWorker worker in all) worker.Behave(ConformanceStage.Ok);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(_settings.Patience + 2 * _settings.BreakerOpenTime);
        try
        {
            // Every worker has to take part again, or a breaker is still open.
            for (int good = 0; good < GoodInARow * all.Length || all.Any(w => w.Seen.IsEmpty);)
            {
                using StringContent body = new($$"""{"text":{{SettleText}}}""", System.Text.Encoding.UTF8, "application/json");
                using HttpResponseMessage answer = await _client.PostAsync("/generate", body, limit.Token);
                good = answer.IsSuccessStatusCode ? good + 1 : 0;
                await Task.Delay(TimeSpan.FromMilliseconds(good == 0 ? 200 : 5), _settings.Time, limit.Token);
            }
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new ConformanceException("the router did not send plain requests to all of the fixed workers; is it started with them, and do their health checks pass?");
        }
        await PrefillCaughtUpAsync(ct);
        foreach (ScriptedWorker worker in all) worker.Behave(ConformanceStage.Ok);
    }

    /// <summary>The client can have its answer before prefill was reached: such a leg must not come in the middle of the check that follows.</summary>
    /// <remarks>One that does not come in all this time never will, and disturbs nobody.</remarks>
    private async Task PrefillCaughtUpAsync(CancellationToken ct)
    {
        long began = _settings.Time.GetTimestamp();
        while (_prefill.Sum(SettlingLegs) < _decode.Sum(SettlingLegs) && _settings.Time.GetElapsedTime(began) < LatePrefill)
            await Task.Delay(TimeSpan.FromMilliseconds(2), _settings.Time, ct);
    }

    private static int SettlingLegs(ScriptedWorker worker) => ConformanceStage.Legs(worker).Count(leg => leg.Text.Contains(SettleText, StringComparison.Ordinal));
}
