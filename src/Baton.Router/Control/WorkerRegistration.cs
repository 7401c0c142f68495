using System.Text.Json.Serialization;
using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Control;

/// <summary>The body of <c>POST /workers</c>, <c>PUT</c>, <c>PATCH</c>, and an element of the workers file. Unknown keys are ignored.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowReadingFromString)]
public sealed record WorkerRegistration
{
    public string? Url { get; init; }
    /// <summary><c>prefill</c>, <c>decode</c> or <c>regular</c>.</summary>
    public string? WorkerType { get; init; }
    public int? BootstrapPort { get; init; }
    public IReadOnlyList<string>? Models { get; init; }
    public string? ApiKey { get; init; }
    public int? Priority { get; init; }
    public double? Cost { get; init; }
    public IReadOnlyDictionary<string, string>? Labels { get; init; }
    public int? DpSize { get; init; }
    public WorkerHealthFields? Health { get; init; }
    public WorkerResilienceFields? Resilience { get; init; }
    /// <summary>With a lease: tells the worker's process from the one before it at the same URL.</summary>
    public string? InstanceId { get; init; }

    /// <summary>A whole specification.</summary>
    /// <exception cref="FormatException">A field is missing or wrong; the text names it.</exception>
    public WorkerSpec ToSpec() => Patch(new WorkerSpec
    {
        Url = ParseUrl(Url ?? throw new FormatException("url is missing.")),
        Role = WorkerRole.Unified,
    });

    /// <summary>Changes what this body names and keeps the rest; the URL stays.</summary>
    /// <exception cref="FormatException">A field is wrong; the text names it.</exception>
    public WorkerSpec Patch(WorkerSpec spec)
    {
        if (BootstrapPort is < 1 or > 65535) throw new FormatException($"bootstrap_port is {BootstrapPort}: a port is 1 to 65535.");
        if (DpSize is < 1 or > WorkerInfo.MaxDpSize) throw new FormatException($"dp_size is {DpSize}: it must be 1 to {WorkerInfo.MaxDpSize}.");
        Seconds("health.check_interval_secs", Health?.CheckIntervalSecs, above: 0);
        Seconds("health.drain_settle_secs", Health?.DrainSettleSecs, above: -double.Epsilon);
        Count("resilience.max_retries", Resilience?.MaxRetries);
        Count("resilience.cb_failure_threshold", Resilience?.CbFailureThreshold);
        return spec with
        {
            Tuning = spec.Tuning with
            {
                HealthCheckInterval = Health?.CheckIntervalSecs is { } interval ? TimeSpan.FromSeconds(interval) : spec.Tuning.HealthCheckInterval,
                DrainSettle = Health?.DrainSettleSecs is { } settle ? TimeSpan.FromSeconds(settle) : spec.Tuning.DrainSettle,
                MaxAttempts = Resilience?.MaxRetries ?? spec.Tuning.MaxAttempts,
                BreakerThreshold = Resilience?.CbFailureThreshold ?? spec.Tuning.BreakerThreshold,
                IsRetryDisabled = Resilience?.DisableRetry ?? spec.Tuning.IsRetryDisabled,
            },
            Role = WorkerType is null ? spec.Role : ParseRole(WorkerType),
            BootstrapPort = BootstrapPort ?? spec.BootstrapPort,
            Models = Models ?? spec.Models,
            ApiKey = ApiKey ?? spec.ApiKey,
            Priority = Priority ?? spec.Priority,
            Cost = Cost ?? spec.Cost,
            Labels = Labels ?? spec.Labels,
            DpSize = DpSize ?? spec.DpSize,
        };
    }

    private static Uri ParseUrl(string text)
    {
        try
        {
            return WorkerSpec.ParseUrl(text);
        }
        catch (FormatException e)
        {
            throw new FormatException("url: " + e.Message, e);
        }
    }

    /// <exception cref="FormatException">No such role.</exception>
    public static WorkerRole ParseRole(string text) => text switch
    {
        "prefill" => WorkerRole.Prefill,
        "decode" => WorkerRole.Decode,
        "regular" or "unified" => WorkerRole.Unified,
        _ => throw new FormatException($"worker_type is '{text}': use prefill, decode or regular."),
    };

    private static void Seconds(string field, double? value, double above)
    {
        if (value is { } seconds && !(seconds > above && seconds <= 86400)) throw new FormatException($"{field} is {seconds}: give seconds up to 86400, {(above < 0 ? "0 or more" : "above 0")}.");
    }

    private static void Count(string field, int? value)
    {
        if (value is < 1 or > 1_000_000) throw new FormatException($"{field} is {value}: give 1 or more.");
    }
}

/// <summary><c>health</c> of a registration.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowReadingFromString)]
public sealed record WorkerHealthFields
{
    public double? CheckIntervalSecs { get; init; }
    public double? DrainSettleSecs { get; init; }
}

/// <summary><c>resilience</c> of a registration.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowReadingFromString)]
public sealed record WorkerResilienceFields
{
    /// <summary>The total number of attempts, the first one included, as the router's flag counts.</summary>
    public int? MaxRetries { get; init; }
    public int? CbFailureThreshold { get; init; }
    public bool? DisableRetry { get; init; }
}
