using System.Text.Json.Serialization;

namespace Baton.Router;

/// <summary>The JSON shapes that the router itself writes and reads. Request bodies are not among them: those stay bytes.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.Never)]
[JsonSerializable(typeof(string))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(Errors.ErrorEnvelope))]
[JsonSerializable(typeof(Http.WorkerList))]
[JsonSerializable(typeof(Http.ReadinessBody))]
[JsonSerializable(typeof(Http.RecentRoutes))]
[JsonSerializable(typeof(Choice.RouteExplanation))]
[JsonSerializable(typeof(Control.WorkerRegistration))]
[JsonSerializable(typeof(Control.WorkerAccepted))]
[JsonSerializable(typeof(Control.LeaseGranted))]
[JsonSerializable(typeof(Control.ControlError))]
[JsonSerializable(typeof(Control.UrlList))]
[JsonSerializable(typeof(Control.RoleSwitchRequest))]
[JsonSerializable(typeof(Control.BroadcastList))]
[JsonSerializable(typeof(Control.LoadList))]
internal sealed partial class RouterJson : JsonSerializerContext;
