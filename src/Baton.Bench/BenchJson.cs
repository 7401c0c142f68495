using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Baton.Bench;

/// <summary>JSON shapes of the bench: it writes free-form objects only, since their keys are bench_serving's.</summary>
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(JsonArray))]
[JsonSerializable(typeof(JsonElement))]
internal sealed partial class BenchJson : JsonSerializerContext;
