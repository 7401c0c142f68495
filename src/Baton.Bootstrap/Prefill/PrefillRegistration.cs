using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Microsoft.Extensions.Logging;

namespace Baton.Bootstrap.Prefill;

/// <summary>Timers of a <see cref="PrefillRegistration"/>.</summary>
public sealed record PrefillRegistrationOptions
{
    public TimeSpan RetryFloor { get; init; } = TimeSpan.FromMilliseconds(200);
    public TimeSpan RetryCeiling { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often a registered worker looks whether the server still has it.</summary>
    public TimeSpan CheckInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stopping worker waits for the server to take its ranks back.</summary>
    public TimeSpan UnregisterTimeout { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>Keeps the ranks of one prefill worker registered at its bootstrap server, from start to stop.</summary>
/// <remarks>
/// SGLang tries five times and then serves unregistered. Here it goes on, and a server that restarted or was replaced gets the ranks
/// again at the next check. A Baton server is told the worker's incarnation, so a restarted worker takes its ranks over at once, and
/// one that stops takes its ranks with it.
/// </remarks>
public sealed class PrefillRegistration : IAsyncDisposable
{
    private readonly PrefillRegistrationOptions _options;
    private readonly BootstrapAddress _server;
    private readonly IReadOnlyList<RankRegistration> _ranks;
    private readonly string _incarnation;
    private readonly IBootstrapApi _api;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Action? _serverReplaced;
    private readonly Backoff _backoff;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _registered = new();
    private readonly bool[] _isRegistered;
    private bool _wasReady;
    private string? _instanceId;
    private Task _running = Task.CompletedTask;

    /// <param name="ranks">From <see cref="RanksOf"/>.</param>
    /// <param name="incarnation">Differs between any two worker processes.</param>
    /// <param name="serverReplaced">Another server answers now, or the old one lost its memory: rooms have to be told again (<see cref="RoomRegistrar.Repost"/>).</param>
    public PrefillRegistration(
        PrefillRegistrationOptions options, BootstrapAddress server, IReadOnlyList<RankRegistration> ranks, string incarnation,
        IBootstrapApi api, TimeProvider time, Random random, ILogger<PrefillRegistration> logger, Action? serverReplaced = null)
    {
        _options = options;
        _server = server;
        _ranks = ranks;
        _incarnation = incarnation;
        _api = api;
        _time = time;
        _logger = logger;
        _serverReplaced = serverReplaced;
        _isRegistered = new bool[ranks.Count];
        _backoff = new Backoff(options.RetryFloor, options.RetryCeiling, random, new Lock());
    }

    /// <summary>Ends when every rank was registered for the first time.</summary>
    public Task Registered => _registered.Task;

    public bool IsRegistered => Array.TrueForAll(_isRegistered, static r => r);

    /// <summary>What each rank of a Baton worker registers: plain data parallelism, so that the dp group is the rank.</summary>
    /// <param name="host">Where decode reaches the KV listeners.</param>
    /// <param name="kvPorts">One per rank, in rank order.</param>
    public static IReadOnlyList<RankRegistration> RanksOf(
        string host, IReadOnlyList<int> kvPorts, string? kvCacheDtype, LoadBalanceMethod method, int? httpPort) =>
        [.. kvPorts.Select((port, rank) => new RankRegistration
        {
            SystemDpSize = kvPorts.Count,
            SystemDpRank = rank,
            RankIp = BootstrapClient.ReachableHost(host),
            RankPort = port,
            PageSize = 1,
            KvCacheDtype = kvCacheDtype,
            LoadBalanceMethod = method.WireName,
            PrefillHttpPort = httpPort,
        })];

    public void Start() => _running = RunAsync();

    public async ValueTask DisposeAsync()
    {
        // Not CancelAsync: that goes over the thread pool, and virtual time would not see it end.
        _stop.Cancel();
        await _running;
        if (Array.Exists(_isRegistered, static r => r)) await UnregisterAsync();
    }

    /// <summary>Once, since nobody waits for it: a server that cannot be reached keeps the ranks until the worker's next start.</summary>
    private async Task UnregisterAsync()
    {
        using CancellationTokenSource deadline = new(_options.UnregisterTimeout, _time);
        try
        {
            BootstrapReply<Done> reply = await _api.UnregisterAsync(_server, _incarnation, deadline.Token);
            if (reply.IsOk) _logger.RanksTakenBack(_server);
            // SGLang's server knows no such thing; its entries stay, as SGLang's own workers leave them.
            else if (reply.Status != BootstrapStatus.RouteMissing) _logger.RanksNotTakenBack(_server, reply.Status, reply.Detail ?? "no detail");
        }
        catch (OperationCanceledException)
        {
            _logger.RanksNotTakenBack(_server, BootstrapStatus.Unreachable, $"no answer within {_options.UnregisterTimeout.TotalSeconds} s");
        }
    }

    private async Task RunAsync()
    {
        try
        {
            while (true)
            {
                bool isComplete = await RegisterMissingAsync();
                await Task.Delay(isComplete ? _options.CheckInterval : _backoff.Next(), _time, _stop.Token);
                if (isComplete) await CheckAsync();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped.
        }
    }

    private async Task<bool> RegisterMissingAsync()
    {
        for (int i = 0; i < _ranks.Count; i++)
        {
            if (_isRegistered[i]) continue;
            BootstrapReply<Done> reply = await _api.RegisterRankAsync(_server, _ranks[i], _incarnation, _stop.Token);
            if (!reply.IsOk)
            {
                _logger.RankNotRegistered(_server, i, reply.Status, reply.Detail ?? "no detail");
                return false;
            }
            _isRegistered[i] = true;
            _logger.RankRegistered(_server, i, _ranks[i].Endpoint);
            // Registering may itself change the instance: it replaced our former life.
            _instanceId = reply.InstanceId;
        }
        _backoff.Reset();
        _registered.TrySetResult();
        return true;
    }

    /// <summary>Asks for our own ranks. What is not there any more is registered again.</summary>
    private async Task CheckAsync()
    {
        bool isReplaced = false;
        bool isLost = false;
        for (int i = 0; i < _ranks.Count; i++)
        {
            BootstrapReply<RankEndpoint> reply = await _api.GetRankAsync(_server, new DpRank(i), _stop.Token);
            _wasReady |= reply.IsOk;
            isReplaced |= reply.InstanceId is not null && _instanceId is not null && reply.InstanceId != _instanceId;
            if (IsThere(reply, i)) continue;
            isLost = true;
            isReplaced |= !reply.IsBaton;
        }
        if (!isReplaced && !isLost) return;
        if (isReplaced) _logger.RegistrationLost(_server);
        // Harmless where it was not needed: see IsThere.
        Array.Clear(_isRegistered);
        if (await RegisterMissingAsync() && isReplaced) _serverReplaced?.Invoke();
    }

    private bool IsThere(BootstrapReply<RankEndpoint> reply, int rank) => reply.Status switch
    {
        BootstrapStatus.Ok => reply.Value == _ranks[rank].Endpoint,
        BootstrapStatus.NotFound or BootstrapStatus.PrefillStopped => false,
        // Other workers of the group may be missing and not we. SGLang's server counts every PUT, so it gets one only when it surely
        // lost us; a Baton server takes the same registration any number of times.
        BootstrapStatus.NotReady => !reply.IsBaton && !_wasReady,
        _ => true,
    };
}
