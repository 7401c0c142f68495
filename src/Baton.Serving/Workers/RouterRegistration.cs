using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Baton.Core.Ids;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Workers;

/// <summary>Holds this worker's leases at all its routers: <c>--router</c>.</summary>
public sealed class RouterRegistration : IAsyncDisposable
{
    private readonly HttpMessageInvoker _http;
    private readonly RouterLease[] _leases;

    /// <param name="listensOn">Where the worker's own server listens.</param>
    public RouterRegistration(Worker worker, Uri listensOn, TimeProvider time, ILoggerFactory loggers)
    {
        ServeOptions options = worker.Options;
        _http = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(2), PooledConnectionIdleTimeout = TimeSpan.FromSeconds(50) });
        ILogger logger = loggers.CreateLogger<RouterRegistration>();
        _leases = [.. options.Routers.Select(router => new RouterLease(router, options.RouterKey, () => SelfUrl(options, listensOn, router), self => Describe(worker, self), _http, time, logger))];
    }

    public void Start()
    {
        foreach (RouterLease lease in _leases) lease.Start();
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_leases.Select(lease => lease.DisposeAsync().AsTask()));
        _http.Dispose();
    }

    /// <summary>What a router calls: the advertised URL, else the bound host (when that is every address: the one that faces the router) with the port it got.</summary>
    /// <exception cref="SocketException">The router's name is not known.</exception>
    internal static string SelfUrl(ServeOptions options, Uri listensOn, Uri router)
    {
        if (options.AdvertiseUrl is { } advertised) return advertised.GetLeftPart(UriPartial.Authority);
        string host = IPAddress.TryParse(options.Host, out IPAddress? bound) && (bound.Equals(IPAddress.Any) || bound.Equals(IPAddress.IPv6Any))
            ? AddressTowards(router, bound.AddressFamily) : options.Host;
        return new UriBuilder("http", host, listensOn.Port).Uri.GetLeftPart(UriPartial.Authority);
    }

    // Connecting a datagram socket sends nothing; it only asks the routing table.
    private static string AddressTowards(Uri router, AddressFamily family)
    {
        using Socket socket = new(family, SocketType.Dgram, ProtocolType.Udp);
        if (family == AddressFamily.InterNetworkV6) socket.DualMode = true;
        socket.Connect(router.DnsSafeHost, router.Port);
        IPAddress local = ((IPEndPoint)socket.LocalEndPoint!).Address;
        return (local.IsIPv4MappedToIPv6 ? local.MapToIPv4() : local).ToString();
    }

    internal static ReadOnlyMemory<byte> Describe(Worker worker, string self)
    {
        ArrayBufferWriter<byte> utf8 = new();
        using Utf8JsonWriter json = new(utf8);
        json.WriteStartObject();
        json.WriteString("url", self);
        json.WriteString("worker_type", worker.Options.Role switch { WorkerRole.Prefill => "prefill", WorkerRole.Decode => "decode", _ => "regular" });
        if (worker.Options.Role == WorkerRole.Prefill && worker.Bootstrap is { } bootstrap) json.WriteNumber("bootstrap_port", bootstrap.Port);
        if (worker.Options.ApiKey is { } key) json.WriteString("api_key", key);
        json.WriteNumber("dp_size", worker.Options.DpSize);
        json.WriteStartArray("models");
        json.WriteStringValue(worker.Text.ModelName);
        json.WriteEndArray();
        json.WriteString("instance_id", worker.InstanceId);
        json.WriteEndObject();
        json.Flush();
        return utf8.WrittenSpan.ToArray();
    }
}
