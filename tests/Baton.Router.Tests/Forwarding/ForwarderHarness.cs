using System.Collections.Concurrent;
using System.Text;
using System.Threading.Channels;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Forwarding;
using Baton.Router.Legs;
using Baton.Router.Tests.Http;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Router.Tests.Forwarding;

/// <summary>A forwarder on a virtual clock, with scripted legs and a client in memory: no sockets.</summary>
internal sealed class ForwarderHarness : IDisposable
{
    private readonly PdRouter _router;
    private readonly RouterMetrics _metrics;
    private readonly PdForwarder _forwarder;

    /// <param name="decode">Answers decode's legs; prefill's are answered with an empty object at once.</param>
    /// <param name="info">What decode workers say at <c>/server_info</c>.</param>
    public ForwarderHarness(RouterOptions options, Func<LegRequest, FakeResponse> decode, int decodes = 1, string info = "{}")
    {
        WorkerFleet fleet = new(options.Breaker);
        fleet.Add(new WorkerSpec { Url = new Uri("http://p0:1"), Role = WorkerRole.Prefill, BootstrapPort = 2 })!.Status = WorkerStatus.Ready;
        for (int i = 0; i < decodes; i++)
        {
            Worker worker = fleet.Add(new WorkerSpec { Url = new Uri($"http://d{i}:1"), Role = WorkerRole.Decode })!;
            worker.Status = WorkerStatus.Ready;
            worker.Learn(WorkerInfo.Parse(Encoding.UTF8.GetBytes(info)));
        }
        _router = new PdRouter(options, fleet, seed: 1);
        _metrics = new RouterMetrics(_router, () => 0, Time);
        Transport = new FakeTransport(decode);
        _forwarder = new PdForwarder(_router, Transport, options, _metrics, new RouteJournal(), Time, 1, NullLogger<PdForwarder>.Instance);
    }

    public VirtualTimeProvider Time { get; } = new();

    public FakeTransport Transport { get; }

    public MemoryReply Reply { get; } = new();

    /// <summary>Sequences in flight on all workers.</summary>
    public int CreditsOut => _router.Fleet.Now.All.Sum(w => w.InFlight);

    public Task ForwardAsync(string json, DataEndpoint endpoint = DataEndpoint.Generate, string? key = null, CancellationToken clientGone = default) => _forwarder.ForwardAsync(
        ClientBodyReader.Read(Encoding.UTF8.GetBytes(json), endpoint), new RequestHead { Forwarded = [], RequestId = "r1", RoutingKey = key, ReceivedAt = Time.GetElapsedTime(0) }, Reply, clientGone);

    /// <summary>Lets timers fire that are due soon (backoffs and the like), until the request is answered.</summary>
    public Task FinishAsync(Task forwarded, TimeSpan within) => RouterHarness.Until(() =>
    {
        if (forwarded.IsCompleted) return true;
        if (Time.NextDue is { } due && due <= Time.Now + within) Time.AdvanceTo(due);
        return false;
    }, "the request is answered");

    public void Dispose() => _metrics.Dispose();
}

/// <summary>Legs answered by a script.</summary>
internal sealed class FakeTransport(Func<LegRequest, FakeResponse> decode) : ILegTransport
{
    /// <summary>Bodies of decode's legs, in the order that they were sent.</summary>
    public ConcurrentQueue<(string Worker, string Body)> DecodeLegs { get; } = new();

    public Task<ILegResponse> SendAsync(LegRequest leg, CancellationToken ct)
    {
        if (leg.Worker.Role == WorkerRole.Prefill) return Task.FromResult<ILegResponse>(new FakeResponse().Say("{}").End());
        DecodeLegs.Enqueue((leg.Worker.Url, Encoding.UTF8.GetString(leg.Body.Utf8.Span)));
        leg.Body.Dispose();
        return Task.FromResult<ILegResponse>(decode(leg));
    }

    public void Abort(Worker worker, string requestId)
    {
    }
}

/// <summary>An answer whose bytes a test gives when it likes.</summary>
internal sealed class FakeResponse(int status = 200) : ILegResponse
{
    private readonly Channel<byte[]> _bytes = Channel.CreateUnbounded<byte[]>();
    private ReadOnlyMemory<byte> _rest;

    public int StatusCode => status;

    public IReadOnlyList<KeyValuePair<string, string>> Headers => [new("content-type", "text/event-stream")];

    public FakeResponse Say(string text)
    {
        Assert.True(_bytes.Writer.TryWrite(Encoding.UTF8.GetBytes(text)));
        return this;
    }

    /// <summary>One event for each payload.</summary>
    public FakeResponse Events(params string[] payloads)
    {
        foreach (string payload in payloads) Say($"data: {payload}\n\n");
        return this;
    }

    public FakeResponse End()
    {
        _bytes.Writer.Complete();
        return this;
    }

    /// <summary>The worker is gone.</summary>
    public FakeResponse Break()
    {
        _bytes.Writer.Complete(new LegException("connection reset"));
        return this;
    }

    public async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken ct)
    {
        if (_rest.IsEmpty)
        {
            if (!await _bytes.Reader.WaitToReadAsync(ct)) return 0;
            _bytes.Reader.TryRead(out byte[]? next);
            _rest = next;
        }
        int length = Math.Min(into.Length, _rest.Length);
        _rest[..length].CopyTo(into);
        _rest = _rest[length..];
        return length;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}

/// <summary>The client's side: what it was sent.</summary>
internal sealed class MemoryReply : IClientReply
{
    private readonly Lock _lock = new();
    private readonly StringBuilder _text = new();

    public bool HasStarted { get; private set; }

    public int Status { get; private set; }

    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; private set; } = [];

    public bool IsAborted { get; private set; }

    public string Text
    {
        get
        {
            lock (_lock) return _text.ToString();
        }
    }

    public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        Assert.False(HasStarted, "The head was sent twice.");
        (Status, Headers) = (status, [.. headers]);
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        HasStarted = true;
        lock (_lock) _text.Append(Encoding.UTF8.GetString(bytes.Span));
        return ValueTask.CompletedTask;
    }

    public void Abort() => IsAborted = true;
}
