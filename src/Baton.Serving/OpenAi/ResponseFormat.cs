using System.Text.Json;
using Baton.Core.Text;
using Baton.Serving.Requests;

namespace Baton.Serving.OpenAi;

/// <summary>Reads <c>response_format</c>.</summary>
internal static class ResponseFormat
{
    /// <returns>The grammar that the answer has to follow, or null for free text.</returns>
    public static string? Read(JsonFields fields, CallContext context)
    {
        if (!fields.TryGet("response_format", out JsonElement format)) return null;
        if (format.ValueKind != JsonValueKind.Object) throw fields.Bad("response_format", format, "must be an object");
        JsonFields inner = new(format, "response_format.");
        switch (inner.Text("type"))
        {
            case "text":
                return null;
            case "json_object":
                if (context.Text.FindGrammarProblem(JsonGrammar.Object) is { } problem) throw inner.Bad("type", $"json_object cannot be served: {problem}");
                return JsonGrammar.Object;
            case "json_schema":
                throw inner.Bad("type", "json_schema is not there yet; use json_object, or ebnf with a GBNF grammar");
            case { } other:
                throw inner.Bad("type", $"must be text or json_object, and is {other}");
            case null:
                throw inner.Bad("type", "is missing");
        }
    }
}
