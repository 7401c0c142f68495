using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>Fresh workers for every check, registered and removed by the router's own <c>/workers</c>: no check meets another one's breakers.</summary>
public sealed class AdminFleet : IConformanceFleet
{
    private readonly HttpClient _client;
    private readonly HttpClient _admin;
    private readonly IPAddress _host;
    private readonly ConformanceSettings _settings;

    /// <param name="host">Address that the workers listen on and that the router is told.</param>
    public AdminFleet(Uri router, string? apiKey, string? adminKey, IPAddress host, ConformanceSettings settings)
    {
        (_client, _admin, _host, _settings) = (RouterClient.Create(router, apiKey), RouterClient.Create(router, adminKey ?? apiKey), host, settings);
    }

    /// <summary>Whether the router has workers of its own, which would take requests that are meant for ours.</summary>
    public async Task<int> CountWorkersAsync(CancellationToken ct)
    {
        using JsonDocument list = JsonDocument.Parse(await _admin.GetStringAsync("/workers", ct));
        return list.RootElement.GetProperty("workers").GetArrayLength();
    }

    public async Task<ConformanceStage> StageAsync(ConformanceCheck check, CancellationToken ct)
    {
        if (check.IsIpv6 && !Socket.OSSupportsIPv6) throw new NotApplicableException("this machine has no IPv6");
        IPAddress host = check.IsIpv6 ? IPAddress.IPv6Loopback : _host;
        List<ScriptedWorker> prefill = [], decode = [];
        try
        {
            for (int i = 0; i < check.PrefillCount; i++) prefill.Add(await AddAsync("prefill", check.PrefillDpSize, host, ct));
            for (int i = 0; i < check.DecodeCount; i++) decode.Add(await AddAsync("decode", check.DecodeDpSize, host, ct));
            await WaitUntilReadyAsync([.. prefill, .. decode], ct);
        }
        catch
        {
            await EndAsync([.. prefill, .. decode]);
            throw;
        }
        return new ConformanceStage(_client, _admin, prefill, decode, _settings, () => EndAsync([.. prefill, .. decode]));
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        _admin.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<ScriptedWorker> AddAsync(string role, int dpSize, IPAddress host, CancellationToken ct)
    {
        ScriptedWorker worker = new(ConformanceStage.Ok, RouterClient.ServerInfo(role, dpSize), new IPEndPoint(host, 0));
        string port = role == "prefill" ? $",\"bootstrap_port\":{worker.Port}" : "";
        using StringContent body = new($$"""{"url":"{{worker.Url}}","worker_type":"{{role}}"{{port}}}""", Encoding.UTF8, new MediaTypeHeaderValue("application/json"));
        using HttpResponseMessage answer = await _admin.PostAsync("/workers", body, ct);
        if (answer.IsSuccessStatusCode) return worker;
        string text = await answer.Content.ReadAsStringAsync(ct);
        await worker.DisposeAsync();
        throw new ConformanceException($"POST /workers was answered {(int)answer.StatusCode}: {text}");
    }

    private async Task WaitUntilReadyAsync(IReadOnlyList<ScriptedWorker> workers, CancellationToken ct)
    {
        long began = _settings.Time.GetTimestamp();
        HashSet<string> missing = [.. workers.Select(w => w.Url)];
        while (true)
        {
            using JsonDocument list = JsonDocument.Parse(await _admin.GetStringAsync("/workers", ct));
            foreach (JsonElement row in list.RootElement.GetProperty("workers").EnumerateArray())
                if (row.GetProperty("is_healthy").GetBoolean()) missing.Remove(row.GetProperty("url").GetString()!.TrimEnd('/'));
            if (missing.Count == 0) return;
            if (_settings.Time.GetElapsedTime(began) > _settings.Patience) throw new ConformanceException($"GET /workers does not show as healthy: {string.Join(", ", missing)}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), _settings.Time, ct);
        }
    }

    private async ValueTask EndAsync(IReadOnlyList<ScriptedWorker> workers)
    {
        try
        {
            using JsonDocument list = JsonDocument.Parse(await _admin.GetStringAsync("/workers"));
            foreach (JsonElement row in list.RootElement.GetProperty("workers").EnumerateArray())
            {
                string url = row.GetProperty("url").GetString()!.TrimEnd('/');
                if (workers.Any(w => w.Url == url)) (await _admin.DeleteAsync($"/workers/{row.GetProperty("id").GetString()}?drain=false")).Dispose();
            }
        }
        finally
        {
            foreach (ScriptedWorker worker in workers) await worker.DisposeAsync();
        }
    }
}

/// <summary>Clients of a router, and what its workers say of themselves.</summary>
internal static class RouterClient
{
    public static HttpClient Create(Uri router, string? key)
    {
        HttpClient client = new() { BaseAddress = router, Timeout = Timeout.InfiniteTimeSpan };
        if (key is not null) client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        return client;
    }

    public static string ServerInfo(string role, int dpSize) =>
        $$"""{"disaggregation_mode":"{{role}}","dp_size":{{dpSize}},"model_path":"scripted","served_model_name":"scripted","load_balance_method":"round_robin","pd_cancel_anytime":true}""";
}
