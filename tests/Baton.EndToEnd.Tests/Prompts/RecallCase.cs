using System.Text.Json;
using System.Text.Json.Nodes;
using Baton.Testing;

namespace Baton.EndToEnd.Tests.Prompts;

/// <summary>A chat that states facts and asks for one of them: the answer lies far back in the KV cache.</summary>
/// <param name="Messages">As the chat API takes them.</param>
/// <param name="Expected">Must occur in the answer.</param>
internal sealed record RecallCase(int Id, JsonArray Messages, string Expected, int PromptTokens)
{
    /// <summary>Held-out cases that came with the demo model and that it answers right when it is served in one place.</summary>
    public static RecallCase[] Load(int count) =>
        [.. File.ReadLines(Path.Combine(RepositoryRoot.Path, "models", "demo", "recall-cases.jsonl")).Select(Parse).OfType<RecallCase>().Take(count)];

    /// <summary>The chat as the model was trained on it, up to where the answer begins.</summary>
    public string ToText() =>
        string.Concat(Messages.Select(message => $"<|im_start|>{(string)message!["role"]!}\n{(string)message["content"]!}<|im_end|>\n")) + "<|im_start|>assistant\n";

    private static RecallCase? Parse(string line)
    {
        JsonNode node = JsonNode.Parse(line) ?? throw new JsonException("A line of recall-cases.jsonl is empty.");
        bool isUsable = (bool)node["reference_ok"]!;
        return isUsable ? new((int)node["id"]!, node["messages"]!.AsArray(), (string)node["expected"]!, (int)node["prompt_tokens"]!) : null;
    }
}
