using System.IO.Pipelines;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Prefill;
using Baton.Bootstrap.Server;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Scheduling.Dispatch;
using Baton.Scheduling.Prefill;
using Baton.Serving.Workers;
using Baton.Transfer;
using Baton.Transfer.Fake;
using Baton.Transfer.Links;
using Baton.Transfer.Sending;
using Baton.Transfer.Tcp;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Disaggregation;

/// <summary>What makes a worker a prefill worker: a KV listener a rank, the bootstrap server or a client of one, and the registration there.</summary>
internal static class PrefillRole
{
    /// <summary>How long a stopping worker tries to tell the bootstrap server about its last rooms.</summary>
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(2);

    public static async Task<RoleRanks> BuildAsync(
        RoleInputs inputs, LoadBalanceMethod method, int httpPort, CancellationToken ct)
    {
        ServeOptions options = inputs.Options;
        if (options.IsFakeBackend) return BuildFake(inputs);

        // 1. bootstrap server: in this process, or another worker's
        (IBootstrapApi api, BootstrapAddress address) = await BootstrapAsync(inputs, ct);
        inputs.Parts.Bootstrap = address;
        RoomRegistrar registrar = new(new RoomRegistrarOptions { RoomLife = options.BootstrapTimeout }, address, api, inputs.Time,
            new Random((int)inputs.Random.NextUInt64()), PipeScheduler.ThreadPool, inputs.Loggers.CreateLogger<RoomRegistrar>());
        inputs.Parts.OnDispose(async () =>
        {
            // Rooms that just ended: decode is to hear of them before this process is gone.
            await registrar.FlushAsync(FlushTimeout);
            await registrar.DisposeAsync();
        });

        // 2. ranks, each with its listener
        TransferOptions transfer = options.ToTransfer();
        List<PrefillRank> ranks = [];
        PrefillRooms rooms = new(ranks, registrar);
        ILogger senderLogger = inputs.Loggers.CreateLogger<KvSender>();
        ILogger listenerLogger = inputs.Loggers.CreateLogger<TcpKvListener>();
        List<int> ports = [];
        for (int i = 0; i < inputs.Engines.Count; i++)
        {
            DpRank rank = new(i);
            IEngine engine = inputs.Engines[i];
            RankWake wake = inputs.Wakes[i];
            KvIdentity self = KvIdentity.Of(engine.Info, WorkerRole.Prefill, rank, inputs.Parts.InstanceId, transfer);
            KvInbox inbox = new(transfer.MaxQueuedFrames, wake.Set);
            KvSender sender = new(inbox, self, transfer, rooms.RankOf, senderLogger);
            TcpKvListener listener = new(inbox, self, transfer, inputs.Time, listenerLogger);
            inputs.Parts.OnDispose(listener.DisposeAsync);
            listener.Start();
            ports.Add(listener.Port);
            ranks.Add(new PrefillRank(rank, engine, sender, options.ToScheduler()));
        }

        // 3. registration: decode finds the ranks once all of them are there
        string host = options.KvAdvertiseHost ?? ReachableAddress(transfer.BindAddress);
        PrefillRegistration registration = new(new PrefillRegistrationOptions(), address,
            PrefillRegistration.RanksOf(host, ports, options.KvCacheName, method, httpPort == 0 ? null : httpPort), inputs.Parts.InstanceId, api,
            inputs.Time, new Random((int)inputs.Random.NextUInt64()), inputs.Loggers.CreateLogger<PrefillRegistration>(), registrar.Repost);
        inputs.Parts.OnDispose(registration.DisposeAsync);
        inputs.Parts.FindProblem = () => registration.Registered.IsCompleted ? null : $"the ranks are not registered at the bootstrap server {address} yet";
        registration.Start();
        return new RoleRanks(ranks, rooms);
    }

    private static RoleRanks BuildFake(RoleInputs inputs)
    {
        PrefillRank[] ranks = [.. inputs.Engines.Select((engine, i) =>
            new PrefillRank(new DpRank(i), engine, new FakeKvSender(inputs.Wakes[i].Set), inputs.Options.ToScheduler()))];
        return new RoleRanks(ranks, new PrefillRooms(ranks, server: null));
    }

    private static async Task<(IBootstrapApi Api, BootstrapAddress Address)> BootstrapAsync(RoleInputs inputs, CancellationToken ct)
    {
        ServeOptions options = inputs.Options;
        if (options.BootstrapServer is { } elsewhere)
        {
            BootstrapClient client = new(new BootstrapClientOptions { WriteToken = options.BootstrapToken }, inputs.Time);
            inputs.Parts.Own(client);
            return (client, elsewhere);
        }
        BootstrapServer server = new(new BootstrapServerOptions
        {
            Host = options.Host,
            Port = options.BootstrapPort,
            BootstrapTimeout = options.BootstrapTimeout,
            WaitingTimeout = options.WaitingTimeout,
            CleanupInterval = options.BootstrapCleanupInterval,
            WriteToken = options.BootstrapToken,
            Seed = inputs.Random.NextUInt64(),
        }, inputs.Time, inputs.Loggers);
        inputs.Parts.OnDispose(server.DisposeAsync);
        await server.StartAsync(ct);
        return (server.Local, server.Address);
    }

    /// <summary>An address that decode can connect to: the bound one, or this machine's first when all are bound.</summary>
    private static string ReachableAddress(string bound)
    {
        IPAddress address = IPAddress.Parse(bound);
        if (!address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any)) return bound;
        return NetworkInterface.GetAllNetworkInterfaces()
            .Where(one => one.OperationalStatus == OperationalStatus.Up && one.NetworkInterfaceType != NetworkInterfaceType.Loopback)
            .SelectMany(one => one.GetIPProperties().UnicastAddresses)
            .Select(one => one.Address)
            .FirstOrDefault(one => one.AddressFamily == AddressFamily.InterNetwork)?.ToString() ?? "127.0.0.1";
    }
}
