using System.Text.Json;
using Baton.Router.KvEvents;

namespace Baton.Router.Workers;

/// <summary>What a worker said about itself at <c>/server_info</c>.</summary>
public sealed record WorkerInfo
{
    /// <summary>Beyond any fleet: a rank has state of its own here, and what a worker says of itself may be nonsense.</summary>
    public const int MaxDpSize = 4096;
    public static readonly WorkerInfo Unknown = new();

    /// <summary>Data-parallel ranks; 1 until the worker says more.</summary>
    public int DpSize { get; init; } = 1;
    public string? ModelPath { get; init; }
    public string? ServedModelName { get; init; }
    /// <summary><c>prefill</c>, <c>decode</c>, <c>null</c>, or null when the worker did not say.</summary>
    public string? DisaggregationMode { get; init; }
    public string? LoadBalanceMethod { get; init; }
    public bool EnableDpAttention { get; init; }
    public int? BootstrapPort { get; init; }
    public string? Version { get; init; }
    public int? ContextLength { get; init; }
    public int? MaxTotalTokens { get; init; }
    public int? MaxRunningRequests { get; init; }
    /// <summary>Baton workers: a prefill may be cancelled at any time without losing KV cells.</summary>
    public bool CancelAnytime { get; init; }
    /// <summary>Streams of <c>/generate</c> carry what is new and not all so far: SGLang's <c>--incremental-streaming-output</c>, before that <c>--stream-output</c>.</summary>
    public bool StreamsIncrements { get; init; }
    /// <summary>Where it publishes what its KV cache holds; null when it does not.</summary>
    public KvEventsConfig? KvEvents { get; init; }
    /// <summary>Changes when the process behind the URL is replaced; null when the worker does not tell.</summary>
    public string? InstanceId { get; init; }

    /// <summary>The name that clients use for this worker's model.</summary>
    public string? ModelName => ServedModelName ?? (ModelPath is { } path ? path.TrimEnd('/', '\\').Split('/', '\\')[^1] : null);

    /// <summary>Reads the document of <c>/server_info</c> (or <c>/get_server_info</c>); unknown keys are ignored, missing ones keep their defaults.</summary>
    /// <exception cref="JsonException">Not a JSON object, or more than <see cref="MaxDpSize"/> ranks.</exception>
    public static WorkerInfo Parse(ReadOnlyMemory<byte> utf8)
    {
        using JsonDocument document = JsonDocument.Parse(utf8);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new JsonException($"/server_info answered a JSON {root.ValueKind}, not an object.");
        int states = root.TryGetProperty("internal_states", out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.GetArrayLength() : 0;
        int dpSize = Math.Max(1, Integer(root, "dp_size") ?? states);
        if (dpSize > MaxDpSize) throw new JsonException($"/server_info says dp_size {dpSize}: at most {MaxDpSize} ranks are kept of a worker.");
        return new WorkerInfo
        {
            DpSize = dpSize,
            ModelPath = Text(root, "model_path"),
            ServedModelName = Text(root, "served_model_name"),
            DisaggregationMode = Text(root, "disaggregation_mode"),
            LoadBalanceMethod = Text(root, "load_balance_method"),
            EnableDpAttention = Flag(root, "enable_dp_attention"),
            BootstrapPort = Integer(root, "disaggregation_bootstrap_port"),
            Version = Text(root, "version"),
            ContextLength = Integer(root, "context_length"),
            MaxTotalTokens = Integer(root, "max_total_tokens") ?? Integer(root, "max_total_num_tokens"),
            MaxRunningRequests = Integer(root, "max_running_requests"),
            CancelAnytime = Flag(root, "pd_cancel_anytime"),
            StreamsIncrements = Flag(root, "incremental_streaming_output") || Flag(root, "stream_output"),
            KvEvents = root.TryGetProperty("kv_events_config", out JsonElement events) ? KvEventsConfig.Parse(events) : null,
            InstanceId = Text(root, "instance_id"),
        };
    }

    private static string? Text(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static int? Integer(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) ? number : null;

    private static bool Flag(JsonElement root, string name) => root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;
}
