using System.Text;
using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Errors;
using Baton.Router.Forwarding;
using Baton.Router.Workers;

namespace Baton.Router.Http;

/// <summary><c>GET /readiness?deep=1</c>: a real one-token generation through every pair, remembered for five seconds.</summary>
internal sealed class DeepReadiness(PdRouter router, PdForwarder forwarder, TimeProvider time) : IDisposable
{
    private const int MaxPairs = 64;
    private static readonly TimeSpan Remembered = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private static readonly byte[] Probe = Encoding.UTF8.GetBytes("""{"text":"Hello","sampling_params":{"max_new_tokens":1,"temperature":0}}""");
    private readonly SemaphoreSlim _one = new(1, 1);
    private IReadOnlyList<PairProbe> _last = [];
    private long _lastAt;
    private bool _any;

    public async Task<IReadOnlyList<PairProbe>> ProbeAsync(CancellationToken ct)
    {
        await _one.WaitAsync(ct);
        try
        {
            if (_any && time.GetElapsedTime(_lastAt) < Remembered) return _last;
            WorkerFleet.Snapshot fleet = router.Fleet.Now;
            IEnumerable<(Worker? Prefill, Worker Decode)> pairs = fleet.Prefill.Count + fleet.Decode.Count > 0
                ? fleet.Prefill.SelectMany(_ => fleet.Decode, (p, d) => ((Worker?)p, d)) : fleet.Unified.Select(w => ((Worker?)null, w));
            _last = await Task.WhenAll(pairs.Where(p => p.Prefill?.Status is null or WorkerStatus.Ready && p.Decode.Status == WorkerStatus.Ready).Take(MaxPairs).Select(p => ProbeOneAsync(p.Prefill, p.Decode, ct)));
            (_lastAt, _any) = (time.GetTimestamp(), true);
            return _last;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Dispose() => _one.Dispose();

    private async Task<PairProbe> ProbeOneAsync(Worker? prefill, Worker decode, CancellationToken ct)
    {
        using CancellationTokenSource limit = new(Limit, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        CapturedReply reply = new(1 << 20);
        long began = time.GetTimestamp();
        RequestHead head = new() { Forwarded = [], RequestId = "readiness", ReceivedAt = time.GetElapsedTime(0) };
        RouterError? error = await forwarder.ProbeAsync(ClientBodyReader.Read(Probe, DataEndpoint.Generate), head, reply, prefill, decode, either.Token);
        string? problem = error?.Message ?? (limit.IsCancellationRequested ? $"no answer within {Limit.TotalSeconds} s" : reply.IsWhole ? null : "no whole answer");
        return new PairProbe { Prefill = prefill?.Url, Decode = decode.Url, Ok = problem is null, Problem = problem, TookMs = time.GetElapsedTime(began).TotalMilliseconds };
    }
}

internal sealed record PairProbe
{
    public string? Prefill { get; init; }
    public required string Decode { get; init; }
    public required bool Ok { get; init; }
    public string? Problem { get; init; }
    public required double TookMs { get; init; }
}
