using System.Text.Json.Nodes;
using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;

namespace Baton.Bench.Runs;

/// <summary>One measurement, complete. The defaults are bench_serving's.</summary>
public sealed record BenchSettings
{
    public required BenchBackend Backend { get; init; }
    public required Uri BaseUrl { get; init; }
    public DatasetOptions Dataset { get; init; } = new();
    /// <summary>Requests per second, Poisson; infinity sends all at once.</summary>
    public double RequestRate { get; init; } = double.PositiveInfinity;
    /// <summary>The dataset's own times decide instead of <see cref="RequestRate"/>.</summary>
    public bool UseTraceTimestamps { get; init; }
    public double TraceSlowdown { get; init; } = 1;
    public int? MaxConcurrency { get; init; }
    public int WarmupRequests { get; init; } = 1;
    public bool Stream { get; init; } = true;
    public bool IgnoreEos { get; init; } = true;
    public double Temperature { get; init; }
    /// <summary>Sent by the native API when it is below 1.</summary>
    public double TopP { get; init; } = 1;
    public JsonObject? ExtraRequestBody { get; init; }
    /// <summary>Null asks <c>/v1/models</c>.</summary>
    public string? Model { get; init; }
    /// <summary>Value of the Authorization header, such as <c>Bearer KEY</c>.</summary>
    public string? Authorization { get; init; }
    /// <summary>Sent with each request (<c>--header</c>).</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];
    public bool FlushCache { get; init; }
    public bool KeepDetails { get; init; }
    public string? Tag { get; init; }
    /// <summary>How long to wait for the server to listen; zero does not look.</summary>
    public TimeSpan ReadyTimeout { get; init; } = TimeSpan.FromSeconds(60);
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromMinutes(10);
    public ServiceGoals Goals { get; init; } = ServiceGoals.None;
    public TimeSpan PacingSlack { get; init; } = new LoadOptions().PacingSlack;
    /// <summary>Where profiling is started and stopped around the run; empty for no profile.</summary>
    public IReadOnlyList<Uri> ProfileUrls { get; init; } = [];

    public RequestBodyWriter Bodies(string model) => new(Backend, model, Stream, IgnoreEos, ExtraRequestBody) { Temperature = Temperature, TopP = TopP };

    public BenchClientOptions ClientOptions(Uri? baseUrl = null) => new()
    {
        Backend = Backend,
        BaseUrl = baseUrl ?? BaseUrl,
        Authorization = Authorization,
        Headers = Headers,
        Stream = Stream,
        KeepText = KeepDetails,
        RequestTimeout = RequestTimeout,
    };
}

/// <summary>What a measurement found.</summary>
public sealed record BenchOutcome(
    ReportHeader Header, ServingFigures Figures, PdFigures Pd, IReadOnlyList<RequestRecord> Records, JsonNode? ServerInfo)
{
    /// <summary>Past this the generator itself distorts what it measures.</summary>
    public static readonly TimeSpan LatenessLimit = TimeSpan.FromMilliseconds(1);

    /// <summary>The generator could not keep its own schedule. Bursts (infinite rate) have none to keep.</summary>
    public bool IsLate => Header.RequestRate is not double.PositiveInfinity && Figures.Lateness.Percentile(99) > LatenessLimit.TotalMilliseconds;
}
