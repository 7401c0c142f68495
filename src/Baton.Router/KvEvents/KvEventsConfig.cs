using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Baton.Router.KvEvents;

/// <summary>Where a worker publishes its KV events, by the <c>kv_events_config</c> of its <c>/server_info</c>.</summary>
/// <param name="Endpoint">Of rank 0, as the worker says it; each further rank has the next port.</param>
/// <param name="Port">Of rank 0; null when nobody can connect there.</param>
/// <param name="Topic">In front of every message.</param>
public sealed record KvEventsConfig(string Endpoint, int? Port, string Topic)
{
    // SGLang's own defaults.
    private const string DefaultEndpoint = "tcp://*:5557";
    private const int MaxTopicBytes = 200;

    /// <summary>Null when the worker publishes none, or by other means than ZeroMQ.</summary>
    /// <param name="value">An object, or the text of one, as SGLang's command line takes it.</param>
    public static KvEventsConfig? Parse(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Object) return Read(value);
        if (value.ValueKind != JsonValueKind.String) return null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(value.GetString()!);
            return document.RootElement.ValueKind == JsonValueKind.Object ? Read(document.RootElement) : null;
        }
        catch (JsonException)
        {
            // Such a worker would not have started: another engine's idea of that field.
            return null;
        }
    }

    private static KvEventsConfig? Read(JsonElement config)
    {
        if (Text(config, "publisher") != "zmq") return null;
        string endpoint = Text(config, "endpoint") ?? DefaultEndpoint, topic = Text(config, "topic") ?? "";
        return new KvEventsConfig(endpoint, Encoding.UTF8.GetByteCount(topic) <= MaxTopicBytes ? PortOf(endpoint) : null, topic);
    }

    // A publisher listens on wildcards; given a host it connects there itself. No host but the worker's own is ever called.
    private static int? PortOf(string endpoint)
    {
        foreach (string listening in (ReadOnlySpan<string>)["tcp://*:", "tcp://[::]:", "tcp://:::", "tcp://0.0.0.0:"])
        {
            if (endpoint.StartsWith(listening, StringComparison.Ordinal) && int.TryParse(endpoint.AsSpan(listening.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535)
                return port;
        }
        return null;
    }

    private static string? Text(JsonElement config, string name) => config.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
