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
    public JsonObject? ExtraRequestBody { get; init; }
    /// <summary>Null asks <c>/v1/models</c>.</summary>
    public string? Model { get; init; }
    public string? ApiKey { get; init; }
    public bool FlushCache { get; init; }
    public bool KeepDetails { get; init; }
    public string? Tag { get; init; }
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromMinutes(10);
    public ServiceGoals Goals { get; init; } = ServiceGoals.None;
    public TimeSpan PacingSlack { get; init; } = new LoadOptions().PacingSlack;
    /// <summary>Where profiling is started and stopped around the run; empty for no profile.</summary>
    public IReadOnlyList<Uri> ProfileUrls { get; init; } = [];

    public BenchClientOptions ClientOptions(Uri? baseUrl = null) => new()
    {
        Backend = Backend,
        BaseUrl = baseUrl ?? BaseUrl,
        ApiKey = ApiKey,
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
