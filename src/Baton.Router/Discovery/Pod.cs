using System.Text.Json;

namespace Baton.Router.Discovery;

/// <summary>What the router wants to know of a pod.</summary>
/// <param name="Uid">Its identity: a name or an address may come back with another pod.</param>
/// <param name="Name">Namespace and name, for messages.</param>
/// <param name="Address">Null as long as it has none.</param>
/// <param name="IsReady">It runs, passes its readiness probe, and is not being deleted.</param>
internal sealed record Pod(string Uid, string Name, string? Address, bool IsReady, IReadOnlyDictionary<string, string> Labels, IReadOnlyDictionary<string, string> Annotations)
{
    /// <summary>An annotation, or a label of the same name.</summary>
    public string? Note(string name) => Annotations.TryGetValue(name, out string? note) || Labels.TryGetValue(name, out note) ? note : null;

    /// <summary>Has every label of a selector; an empty one selects nothing.</summary>
    public bool Matches(IReadOnlyDictionary<string, string> selector) =>
        selector.Count > 0 && selector.All(wanted => Labels.TryGetValue(wanted.Key, out string? value) && value == wanted.Value);

    /// <returns>Null for what is no pod.</returns>
    public static Pod? Read(JsonElement json)
    {
        JsonElement metadata = Member(json, "metadata"), status = Member(json, "status");
        if (Text(metadata, "uid") is not { } uid) return null;
        bool isReady = Text(status, "phase") == "Running" && Text(metadata, "deletionTimestamp") is null && Member(status, "conditions") is { ValueKind: JsonValueKind.Array } conditions
            && conditions.EnumerateArray().Any(c => Text(c, "type") == "Ready" && Text(c, "status") == "True");
        return new Pod(uid, $"{Text(metadata, "namespace")}/{Text(metadata, "name")}", Text(status, "podIP"), isReady, Words(Member(metadata, "labels")), Words(Member(metadata, "annotations")));
    }

    internal static JsonElement Member(JsonElement json, string name) => json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out JsonElement member) ? member : default;

    internal static string? Text(JsonElement json, string name) => Member(json, name) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    private static Dictionary<string, string> Words(JsonElement json) => json.ValueKind != JsonValueKind.Object ? []
        : json.EnumerateObject().Where(one => one.Value.ValueKind == JsonValueKind.String).ToDictionary(one => one.Name, one => one.Value.GetString()!, StringComparer.Ordinal);
}
