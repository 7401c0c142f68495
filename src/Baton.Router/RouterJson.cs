using System.Text.Json.Serialization;

namespace Baton.Router;

/// <summary>The JSON shapes that the router itself writes and reads. Request bodies are not among them: those stay bytes.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.Never)]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(Errors.ErrorEnvelope))]
[JsonSerializable(typeof(Http.WorkerList))]
[JsonSerializable(typeof(Http.ReadinessBody))]
internal sealed partial class RouterJson : JsonSerializerContext;
