using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;
using Baton.Core.Metrics;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Abstractions;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Baton.Bootstrap.Server;

/// <summary>The bootstrap server: <see cref="BootstrapTable"/> behind HTTP. Inside a prefill worker or alone as <c>baton bootstrap</c>.</summary>
/// <remarks>Kestrel without a host or a container: one request is one call of the handler.</remarks>
public sealed class BootstrapServer : IAsyncDisposable
{
    private readonly BootstrapServerOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly BootstrapMetrics _metrics;
    private readonly MetricsCollector _collector;
    private readonly KestrelServer _kestrel;
    private readonly Application _application;
    private ITimer? _sweeper;

    /// <summary>Lets the sockets of this process run their continuations on the thread that hears of them, one wake-up less for each request.</summary>
    /// <remarks>For a process that does nothing but serve the registry, before its first socket: in a worker, other sockets' work would stand in the way.</remarks>
    public static void PreferInlineSockets() => Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");

    /// <param name="meters">Null: the meter <see cref="BootstrapMetrics.MeterName"/> without a factory.</param>
    public BootstrapServer(BootstrapServerOptions options, TimeProvider time, ILoggerFactory loggers, System.Diagnostics.Metrics.IMeterFactory? meters = null)
    {
        _options = options;
        _time = time;
        _logger = loggers.CreateLogger<BootstrapServer>();
        string serverId = new Random((int)options.Seed ^ (int)(options.Seed >> 32)).NextInt64().ToString("x16", CultureInfo.InvariantCulture);
        Table = new BootstrapTable(serverId, options.ClashWindow, new RoomTableOptions
        {
            EntryLife = options.EntryLife,
            Capacity = options.RoomCapacity,
            MaxFailedRooms = options.MaxFailedRooms,
            HashSeed = options.Seed,
        });
        Queries = new RoomQueries(Table.Rooms, options.Queries, time, TaskCreationOptions.RunContinuationsAsynchronously);
        _metrics = new BootstrapMetrics(Table, Queries, meters);
        Local = new LocalBootstrapApi(Table, Queries, time, _metrics);
        _collector = new MetricsCollector(meter => ReferenceEquals(meter, _metrics.Meter));
        _application = new Application(new BootstrapRequestHandler(Table, Queries, _metrics, _collector, options, time));

        KestrelServerOptions kestrel = new() { AddServerHeader = false, AllowSynchronousIO = false };
        kestrel.Limits.MaxRequestBodySize = options.MaxBodyBytes;
        kestrel.Limits.RequestHeadersTimeout = options.RequestDeadline;
        // The handler never blocks and takes microseconds, so a request runs where its bytes arrive instead of crossing two queues.
        SocketTransportOptions sockets = new() { UnsafePreferInlineScheduling = true };
        _kestrel = new KestrelServer(new OptionsWrapper<KestrelServerOptions>(kestrel),
            new SocketTransportFactory(new OptionsWrapper<SocketTransportOptions>(sockets), loggers), loggers);
    }

    public BootstrapTable Table { get; }

    public RoomQueries Queries { get; }

    /// <summary>The same server without HTTP, for the worker that hosts it.</summary>
    public LocalBootstrapApi Local { get; }

    /// <summary>Where it listens, with the real port. A wildcard host is told as the loopback address.</summary>
    /// <exception cref="InvalidOperationException">Before <see cref="StartAsync"/>.</exception>
    public BootstrapAddress Address { get => field.Port > 0 ? field : throw new InvalidOperationException("The bootstrap server is not started."); private set; }

    /// <exception cref="IOException">The port is taken.</exception>
    public async Task StartAsync(CancellationToken ct)
    {
        IPAddress ip = await ResolveAsync(_options.Host, ct);
        _kestrel.Options.Listen(ip, _options.Port);
        await _kestrel.StartAsync(_application, ct);
        string bound = _kestrel.Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First();
        Address = new BootstrapAddress(BootstrapClient.ReachableHost(_options.Host), new Uri(bound).Port);
        _sweeper = _time.CreateTimer(_ => Sweep(), null, _options.SweepInterval, _options.SweepInterval);
        _logger.ServerStarted(Address, _options.EntryLife.TotalSeconds, _options.RoomCapacity, _options.WriteToken is null ? "open" : "token");
    }

    public async ValueTask DisposeAsync()
    {
        if (_sweeper is not null) await _sweeper.DisposeAsync();
        // What is parked is answered with what it has; what still is under way after that is cut.
        Queries.Close();
        using CancellationTokenSource deadline = new(_options.StopTimeout);
        await _kestrel.StopAsync(deadline.Token);
        _kestrel.Dispose();
        _collector.Dispose();
        _metrics.Dispose();
    }

    private void Sweep()
    {
        Table.Rooms.Sweep(_time.GetElapsedTime(0));
        Queries.CloseIdleWatches();
    }

    private static async Task<IPAddress> ResolveAsync(string host, CancellationToken ct)
    {
        if (IPAddress.TryParse(host, out IPAddress? ip)) return ip;
        if (host == "localhost") return IPAddress.Loopback;
        IPAddress[] found = await Dns.GetHostAddressesAsync(host, ct);
        return found.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork) ?? found[0];
    }

    /// <summary>One context object a connection, used again for each of its requests.</summary>
    private sealed class Application(BootstrapRequestHandler handler) : IHttpApplication<DefaultHttpContext>
    {
        public DefaultHttpContext CreateContext(IFeatureCollection contextFeatures)
        {
            if (contextFeatures is not IHostContextContainer<DefaultHttpContext> connection) return new DefaultHttpContext(contextFeatures);
            DefaultHttpContext context = connection.HostContext ??= new DefaultHttpContext();
            context.Initialize(contextFeatures);
            return context;
        }

        public Task ProcessRequestAsync(DefaultHttpContext context) => handler.HandleAsync(context);

        public void DisposeContext(DefaultHttpContext context, Exception? exception) => context.Uninitialize();
    }
}
