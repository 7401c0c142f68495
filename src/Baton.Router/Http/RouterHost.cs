using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Http;

/// <summary>A port beside the main one, on each of its connections: the paths that it serves, all others are 404.</summary>
internal sealed record SidePort(IReadOnlyList<string> Serves)
{
    public static readonly SidePort Metrics = new(["/metrics"]);
    public static readonly SidePort Health = new(["/health", "/liveness", "/readiness"]);
}

/// <summary>The web server around the router: ports, TLS, buffers, CORS.</summary>
internal static class RouterHost
{
    // How much of one answer may wait for a slow client before decode's socket is left unread. Over plain HTTP/1.1 the transport's
    // own buffer counts; Kestrel's limit of the same size is for what stands between: TLS and HTTP/2.
    private const int ClientBufferBytes = 64 * 1024;

    /// <param name="count">Wraps every connection.</param>
    public static WebApplication Build(RouterOptions options, Action<ILoggingBuilder>? logging, Func<ConnectionDelegate, ConnectionDelegate> count)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        // With a logger this category makes a span for every request, which nobody reads: the router has its own.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        // A host that cannot start throws as well: whoever starts it says so, once.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", LogLevel.None);
        logging?.Invoke(builder.Logging);
        if (options.CorsAllowedOrigins.Count > 0) builder.Services.AddCors();
        // The code behind a request never blocks, so it may run where the bytes arrive: each hop to another thread costs a wake-up.
        builder.WebHost.UseSockets(sockets =>
        {
            sockets.UnsafePreferInlineScheduling = true;
            sockets.MaxWriteBufferSize = ClientBufferBytes;
        });
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxPayloadSize;
            kestrel.Limits.MaxResponseBufferSize = ClientBufferBytes;
            // How long a client may take nothing is --stall-timeout-secs: one limit, one error.
            kestrel.Limits.MinResponseDataRate = null;
            Listen(kestrel, "--host", options.Host, options.Port, listen =>
            {
                listen.Use(count);
                if (options.TlsCertPath is { } certificate) listen.UseHttps(X509Certificate2.CreateFromPemFile(certificate, options.TlsKeyPath));
            });
            if (options.PrometheusPort is { } metrics) Listen(kestrel, "--prometheus-host", options.PrometheusHost ?? options.Host, metrics, listen => Mark(listen, count, SidePort.Metrics));
            if (options.HealthCheckPort is { } health) Listen(kestrel, "--host", options.Host, health, listen => Mark(listen, count, SidePort.Health));
        });
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(new ReadBlocks());
        return builder.Build();
    }

    /// <summary>Lets pages of the given origins call the router from a browser.</summary>
    public static void UseCors(WebApplication app, RouterOptions options)
    {
        if (options.CorsAllowedOrigins.Count == 0) return;
        app.UseCors(policy =>
        {
            policy.AllowAnyHeader().AllowAnyMethod().WithExposedHeaders("x-request-id", "x-baton-error-code", "retry-after");
            if (options.CorsAllowedOrigins.Contains("*")) policy.AllowAnyOrigin();
            else policy.WithOrigins([.. options.CorsAllowedOrigins]);
        });
    }

    /// <summary>A bound address as this machine can call it.</summary>
    public static Uri Reachable(string bound) => new(bound.Replace("0.0.0.0", "127.0.0.1", StringComparison.Ordinal).Replace("[::]", "127.0.0.1", StringComparison.Ordinal));

    private static void Mark(ListenOptions listen, Func<ConnectionDelegate, ConnectionDelegate> count, SidePort side)
    {
        listen.Use(count);
        listen.Use(next => connection =>
        {
            connection.Features.Set(side);
            return next(connection);
        });
    }

    private static void Listen(KestrelServerOptions kestrel, string flag, string host, int port, Action<ListenOptions> configure)
    {
        if (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address)) kestrel.Listen(address, port, configure);
        else if (host == "localhost") kestrel.ListenLocalhost(port, configure);
        else throw new ArgumentException($"{flag} '{host}' is no address: use 0.0.0.0, ::, localhost or an address of this machine.");
    }
}
