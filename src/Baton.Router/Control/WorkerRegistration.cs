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
        if (DpSize is < 1 or > 4096) throw new FormatException($"dp_size is {DpSize}: it must be 1 to 4096.");
        return spec with
        {
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
}
