using Baton.Router.Choice;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.KvEvents;

/// <summary>Follows the KV events of every rank that publishes them, as long as its worker is in the fleet and its role's policy reads them.</summary>
internal sealed class KvEventFollowers(PdRouter router, RouterOptions options, TimeProvider time, ILogger<KvEventFollowers> logger)
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);
    private const int MaxPort = 65535;
    private readonly Dictionary<Candidate, Running> _running = [];
    private readonly HashSet<Worker> _told = [];

    private sealed record Running(KvEventsConfig Config, CancellationTokenSource Stop, Task Task);

    public async Task RunAsync(CancellationToken ct)
    {
        if (options.KvEvents == KvEventsMode.Off) return;
        using PeriodicTimer timer = new(Look, time);
        try
        {
            do Settle();
            while (await timer.WaitForNextTickAsync(ct));
        }
        catch (OperationCanceledException)
        {
            // Shutting down.
        }
        foreach (Running each in _running.Values) await each.Stop.CancelAsync();
        await Task.WhenAll(_running.Values.Select(each => each.Task));
        foreach (Running each in _running.Values) each.Stop.Dispose();
    }

    private void Settle()
    {
        Dictionary<Candidate, KvEventsConfig> wanted = [];
        foreach (Worker worker in router.Fleet.Now.All)
        {
            if (worker.Info.KvEvents is not { } config || !router.PolicyOf(worker.Role).ReadsKvEvents) continue;
            if (config.Port is not { } port) TellOnce(worker, config);
            else
                for (int rank = 0; rank < worker.DpSize && port + rank <= MaxPort; rank++) wanted.Add(new Candidate(worker, rank), config);
        }
        foreach ((Candidate rank, Running running) in _running.ToArray())
        {
            if (wanted.TryGetValue(rank, out KvEventsConfig? config) && config == running.Config) continue;
            running.Stop.Cancel();
            // A rank has one follower at a time: the next one, elsewhere, begins once this one is done.
            if (!running.Task.IsCompleted) continue;
            running.Stop.Dispose();
            _running.Remove(rank);
        }
        foreach ((Candidate rank, KvEventsConfig config) in wanted)
            if (!_running.ContainsKey(rank)) _running.Add(rank, Start(rank, config));
        _told.IntersectWith(router.Fleet.Now.All);
    }

    private Running Start(Candidate rank, KvEventsConfig config)
    {
        CancellationTokenSource stop = new();
        KvEventFollower follower = new(rank.Worker.Spec.Url.IdnHost, config.Port!.Value + rank.Rank!.Value, config.Topic, rank.ToString(), rank.State.Blocks, options.ConnectTimeout, time, logger);
        return new Running(config, stop, follower.RunAsync(stop.Token));
    }

    private void TellOnce(Worker worker, KvEventsConfig config)
    {
        if (_told.Add(worker)) logger.KvEventsUnreachable(worker.Url, config.Endpoint);
    }
}
