using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Http;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Baton.Testing.Http;

namespace Baton.Benchmarks.Router;

/// <summary>Minutes of seeded chaos over real sockets: every request ends, and credits, sockets and memory are back where they started.</summary>
internal static class RouterChaos
{
    public const string Name = "router-chaos";
    // Buffers that pools keep for the next burst.
    private const long MaxLeftBytes = 8 * 1024 * 1024;

    public static async Task<int> RunAsync(string[] args)
    {
        double seconds = args.Length > 0 ? double.Parse(args[0]) : 600;
        int clientCount = args.Length > 1 ? int.Parse(args[1]) : 200;
        int seed = args.Length > 2 ? int.Parse(args[2]) : 1;
        (_, _, _, WeakReference first) = await RunOnceAsync(2, 20, seed);
        (int sockets, long memory) before = await ResourcesAsync(first);
        (ChaosClients clients, int credits, (int, int) places, WeakReference router) = await RunOnceAsync(seconds, clientCount, seed);
        (int sockets, long memory) after = await ResourcesAsync(router);

        List<string> faults = [.. clients.Violations.Take(20)];
        if (credits != 0) faults.Add($"{credits} credits were not returned");
        if (places != (0, 0)) faults.Add($"places were not returned: {places}");
        if (after.sockets > before.sockets + 4) faults.Add($"{after.sockets} open descriptors, {before.sockets} before");
        if (router.IsAlive) faults.Add("the router that was stopped is still referred to a minute later");
        if (after.memory > before.memory + MaxLeftBytes) faults.Add($"{after.memory} bytes live, {before.memory} before");
        foreach (KeyValuePair<string, int> end in clients.Ends.OrderByDescending(e => e.Value)) Console.WriteLine($"{end.Value,8} {end.Key}");
        foreach (string fault in faults) Console.WriteLine("FAULT: " + fault);
        ResultFile.Write(Name, $"dotnet run -c Release --project bench/Baton.Benchmarks -- {Name} {seconds} {clientCount} {seed}", new
        {
            seconds,
            clients = clientCount,
            seed,
            requests = clients.Ends.Values.Sum(),
            ends = clients.Ends.OrderBy(e => e.Key, StringComparer.Ordinal).ToDictionary(e => e.Key, e => e.Value),
            descriptors_before = before.sockets,
            descriptors_after = after.sockets,
            live_bytes_before = before.memory,
            live_bytes_after = after.memory,
            faults,
        });
        return faults.Count == 0 ? 0 : 1;
    }

    private static async Task<(ChaosClients, int Credits, (int, int) Places, WeakReference Router)> RunOnceAsync(double seconds, int clientCount, int seed)
    {
        await using ChaosFleet fleet = new(4, 4, seed);
        RouterOptions options = new()
        {
            Host = "127.0.0.1",
            Port = 0,
            TtftTimeout = TimeSpan.FromSeconds(1),
            StallTimeout = TimeSpan.FromSeconds(3),
            RequestTimeout = TimeSpan.FromSeconds(10),
            HealthCheckInterval = TimeSpan.FromMilliseconds(500),
            Admission = new AdmissionOptions { MaxConcurrent = clientCount / 2, QueueSize = clientCount / 3, QueueTimeout = TimeSpan.FromSeconds(5) },
        };
        await using RouterServer server = new(options,
        [
            .. fleet.Prefill.Select(w => new WorkerSpec { Url = new Uri(w.Url), Role = WorkerRole.Prefill, BootstrapPort = w.Port }),
            .. fleet.Decode.Select(w => new WorkerSpec { Url = new Uri(w.Url), Role = WorkerRole.Decode }),
        ], TimeProvider.System, (ulong)seed);
        await server.StartAsync(CancellationToken.None);
        await server.WaitUntilReadyAsync(TimeSpan.FromSeconds(10), CancellationToken.None);
        ChaosClients clients = new(server.Url, clientCount, seed);
        using CancellationTokenSource end = new(TimeSpan.FromSeconds(seconds));
        Task asking = clients.RunAsync(end.Token);
        while (!end.IsCancellationRequested)
        {
            fleet.Disturb();
            await Task.Delay(200);
        }
        await asking;
        fleet.Heal();
        for (int i = 0; i < 600 && (Credits(server) != 0 || server.Admitted is not (0, 0)); i++) await Task.Delay(50);
        return (clients, Credits(server), server.Admitted, new WeakReference(server.Router));
    }

    private static int Credits(RouterServer server) => server.Router.Fleet.Now.All.Sum(w => w.InFlight);

    /// <summary>What is open and live once a stopped router is gone. It was seen to go about 20 s after its end, which is when idle pool threads end.</summary>
    /// <remarks>18 MB were live before, 6 MB after; its memory of 120 s of rooms goes with it.</remarks>
    private static async Task<(int Descriptors, long LiveBytes)> ResourcesAsync(WeakReference router)
    {
        for (int second = 0; second < 60; second++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            if (!router.IsAlive) break;
            await Task.Delay(1000);
        }
        int descriptors = Directory.Exists("/proc/self/fd") ? Directory.GetFileSystemEntries("/proc/self/fd").Length : 0;
        return (descriptors, GC.GetTotalMemory(forceFullCollection: true));
    }
}
