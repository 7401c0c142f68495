using System.Text.Json;
using Baton.Core.Failures;

namespace Baton.Serving.Http;

/// <summary>The one shape of every error: <c>{"error":{"message","type","code","param"}}</c>, as OpenAI's and as SGLang's readers expect.</summary>
internal static class ErrorJson
{
    public static void Write(Utf8JsonWriter json, string message, string type, string code, string? param, int? index = null, bool isRetryable = false)
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", message);
        json.WriteString("type", type);
        json.WriteString("code", code);
        json.WriteString("param", param);
        if (isRetryable) json.WriteBoolean("retryable", true);
        if (index is { } which) json.WriteNumber("index", which);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static void Write(Utf8JsonWriter json, RequestFailure failure, int? index = null) =>
        Write(json, failure.Message, TypeOf(failure.Reason.HttpStatus), failure.Reason.Code, null, index, failure.Reason.IsRetryable);

    public static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        >= 400 and < 500 => "invalid_request_error",
        _ => "server_error",
    };
}
