using System.Text;
using System.Text.Json;
using Baton.Core.Text;
using Baton.Serving.Requests;

namespace Baton.Serving.OpenAi;

/// <summary>Reads the body of <c>/v1/chat/completions</c>.</summary>
internal static class ChatReader
{
    private static readonly string[] Tools = ["tools", "functions", "tool_choice", "function_call"];

    /// <exception cref="BadRequestException">The first thing that is wrong.</exception>
    public static OpenAiCall Read(JsonElement body, CallContext context, string? headerRank)
    {
        JsonFields fields = Body.Fields(body);
        foreach (string name in Tools)
        {
            if (fields.TryGet(name, out JsonElement value) && !MeansNoTools(value)) throw fields.Bad(name, "tools are not served; leave the field out");
        }
        List<ChatMessage> messages = Messages(fields, context);
        int[] prompt = Render(messages, context);
        int? logprobs = Logprobs(fields);
        string? grammar = ResponseFormat.Read(fields, context);
        string maxField = fields.Has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
        // OpenAI's default is no limit: the scheduler cuts it to what the context leaves.
        int defaultMax = Math.Clamp(context.Engine.ContextTokens - prompt.Length, 1, context.Limits.MaxNewTokens);
        SamplingPlan plan = new SamplingReader(context.Text, context.Limits).ReadOpenAi(fields, defaultMax, maxField, grammar);
        return new OpenAiCall
        {
            Generation = OpenAiBody.Plan(fields, context, headerRank, [prompt], plan, logprobs, "chatcmpl-"),
            Model = OpenAiBody.Model(fields, context),
            IncludeUsage = OpenAiBody.IncludeUsage(fields),
            Logprobs = logprobs,
        };
    }

    private static bool MeansNoTools(JsonElement value) =>
        (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0) || (value.ValueKind == JsonValueKind.String && value.ValueEquals("none"));

    private static int? Logprobs(JsonFields fields)
    {
        if (!fields.Flag("logprobs"))
            return fields.Has("top_logprobs") ? throw fields.Bad("top_logprobs", "needs logprobs: true") : null;
        return fields.Integer("top_logprobs", 0, 0, 20);
    }

    private static List<ChatMessage> Messages(JsonFields fields, CallContext context)
    {
        if (!fields.TryGet("messages", out JsonElement list)) throw fields.Bad("messages", "is missing");
        if (list.ValueKind != JsonValueKind.Array) throw fields.Bad("messages", list, "must be a list");
        if (list.GetArrayLength() > context.Limits.MaxMessages) throw fields.Bad("messages", $"has {list.GetArrayLength()} messages; at most {context.Limits.MaxMessages} are taken");
        List<ChatMessage> messages = [];
        int index = 0;
        foreach (JsonElement element in list.EnumerateArray())
        {
            string path = $"messages[{index++}]";
            if (element.ValueKind != JsonValueKind.Object) throw fields.Bad(path, element, "must be an object");
            JsonFields message = new(element, path + ".");
            string role = message.Text("role") ?? throw message.Bad("role", "is missing");
            messages.Add(new ChatMessage(role, Content(message)));
        }
        return messages;
    }

    /// <summary>A string, or a list of text parts, which are joined.</summary>
    private static string Content(JsonFields message)
    {
        if (!message.TryGet("content", out JsonElement content)) return "";
        if (content.ValueKind == JsonValueKind.String) return message.StringOf("content", content);
        if (content.ValueKind != JsonValueKind.Array) throw message.Bad("content", content, "must be a string or a list of text parts");
        StringBuilder text = new();
        int index = 0;
        foreach (JsonElement element in content.EnumerateArray())
        {
            string path = message.PathOf($"content[{index}]");
            if (element.ValueKind != JsonValueKind.Object) throw message.Bad($"content[{index}]", element, "must be an object");
            JsonFields part = new(element, path + ".");
            if (part.Text("type") is var type && type != "text") throw part.Bad("type", $"only text parts are served, and this is {type ?? "none"}");
            text.Append(part.Text("text") ?? throw part.Bad("text", "is missing"));
            index++;
        }
        return text.ToString();
    }

    private static int[] Render(List<ChatMessage> messages, CallContext context)
    {
        if (context.Text.Chat.Problem is { } problem) throw new BadRequestException("messages", $"messages: this model cannot chat: {problem}");
        try
        {
            return context.Text.RenderChat(messages);
        }
        catch (ChatTemplateException refused)
        {
            throw new BadRequestException("messages", refused.Message);
        }
    }
}
