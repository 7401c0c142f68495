using Baton.EndToEnd.Tests.Clients;

namespace Baton.EndToEnd.Tests.Prompts;

/// <summary>Prompts that are the same in every run.</summary>
internal static class PromptSet
{
    /// <summary>Ids of ordinary tokens of the demo model: its special tokens begin at 1533.</summary>
    private const int OrdinaryTokens = 1533;
    private const int LongestPrompt = 1500;

    /// <summary>Lengths from 1 to 1,500 tokens, evenly spaced on a logarithmic scale: many short prompts, and few long ones.</summary>
    public static int[] Lengths(int count) =>
        [.. Enumerable.Range(0, count).Select(i => (int)Math.Round(Math.Pow(LongestPrompt, i / (double)(count - 1))))];

    /// <summary>Prompts of arbitrary tokens, which the model knows nothing about: its logits are flat there, so that a wrong bit shows early.</summary>
    public static GenerateRequest[] Arbitrary(int count, int seed)
    {
        Random random = new(seed);
        return [.. Lengths(count).Select(length => new GenerateRequest { InputIds = [.. Enumerable.Range(0, length).Select(_ => random.Next(OrdinaryTokens))] })];
    }

    /// <summary>Chats that the model was trained to answer: it is sure of nearly every token.</summary>
    public static GenerateRequest[] Recall(int count) =>
        [.. RecallCase.Load(count).Select(one => new GenerateRequest { Text = one.ToText(), MaxNewTokens = 40, IgnoreEos = false })];
}
