using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

namespace Baton.Cli.Commands;

/// <summary>Exports a router's spans and metrics over OTLP.</summary>
internal static class RouterTelemetry
{
    /// <summary>Everything in Baton names its sources and meters so.</summary>
    private const string Everything = "Baton.*";

    /// <param name="endpoint"><c>host:port</c> or a URL of an OTLP/gRPC receiver.</param>
    /// <returns>Flushes and ends the export when disposed; null when there is none.</returns>
    /// <exception cref="FormatException">The endpoint is no address.</exception>
    public static IDisposable? Start(bool isEnabled, string endpoint)
    {
        if (!isEnabled) return null;
        string text = endpoint.Contains("://", StringComparison.Ordinal) ? endpoint : "http://" + endpoint;
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url)) throw new FormatException($"--otlp-traces-endpoint '{endpoint}' is no address: write host:port.");
        return new Export(
            Sdk.CreateTracerProviderBuilder().AddSource(Everything).AddOtlpExporter(o => Point(o, url)).Build(),
            Sdk.CreateMeterProviderBuilder().AddMeter(Everything).AddOtlpExporter(o => Point(o, url)).Build());
    }

    private static void Point(OtlpExporterOptions options, Uri url) => options.Endpoint = url;

    private sealed class Export(TracerProvider traces, MeterProvider metrics) : IDisposable
    {
        public void Dispose()
        {
            traces.Dispose();
            metrics.Dispose();
        }
    }
}
