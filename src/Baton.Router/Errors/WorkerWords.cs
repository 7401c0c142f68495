using System.Text;
using System.Text.Json;

namespace Baton.Router.Errors;

/// <summary>What a worker's error body says.</summary>
/// <param name="Message"><c>error.message</c>, then <c>message</c>, then <c>detail</c>, then the raw text.</param>
/// <param name="Param">The field that it objects to.</param>
/// <param name="Code">Its own code; SGLang writes the status there, as a number.</param>
internal readonly record struct WorkerWords(string Message, string? Param = null, string? Code = null, string? Type = null)
{
    /// <summary>Of a raw text so much is passed on.</summary>
    private const int MaxRawBytes = 4096;

    public static WorkerWords Read(ReadOnlySpan<byte> body)
    {
        if (body.IsEmpty) return new("(no body)");
        try
        {
            Utf8JsonReader reader = new(body);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Object)
            {
                if (root.TryGetProperty("error", out JsonElement error))
                {
                    if (error.ValueKind == JsonValueKind.String) return new(error.GetString()!);
                    if (error.ValueKind == JsonValueKind.Object && Text(error, "message") is { } inner) return From(error, inner);
                }
                if ((Text(root, "message") ?? Text(root, "detail")) is { } outer) return From(root, outer);
            }
        }
        catch (JsonException)
        {
            // Not JSON, or cut at the limit: the raw text is the message.
        }
        return new(Encoding.UTF8.GetString(body[..Math.Min(body.Length, MaxRawBytes)]));
    }

    private static WorkerWords From(JsonElement error, string message) => new(message, Text(error, "param"), Text(error, "code") ?? Number(error, "code"), Text(error, "type"));

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string? Number(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetRawText() : null;
}
