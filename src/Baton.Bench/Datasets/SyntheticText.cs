using System.Text;

namespace Baton.Bench.Datasets;

/// <summary>English-looking words drawn by seed: no download, and no two prompts share more of a prefix than chance gives them.</summary>
public sealed class SyntheticText(Random random, double tokensPerWord)
{
    private static readonly string[] Words =
    [
        "the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "are", "as", "with", "his", "they", "at", "be", "this",
        "from", "have", "or", "by", "one", "had", "not", "but", "what", "all", "were", "when", "we", "there", "can", "an", "your", "which",
        "their", "said", "if", "do", "will", "each", "about", "how", "up", "out", "them", "then", "she", "many", "some", "so", "these",
        "would", "other", "into", "has", "more", "her", "two", "like", "him", "see", "time", "could", "no", "make", "than", "first", "been",
        "its", "who", "now", "people", "my", "made", "over", "did", "down", "only", "way", "find", "use", "may", "water", "long", "little",
        "very", "after", "words", "called", "just", "where", "most", "know", "river", "stone", "music", "paper", "light", "garden",
    ];

    /// <summary>About <paramref name="tokens"/> tokens, at least one word.</summary>
    public string Write(int tokens)
    {
        int count = Math.Max(1, (int)Math.Round(tokens / tokensPerWord));
        StringBuilder text = new(count * 5);
        for (int i = 0; i < count; i++)
        {
            if (i > 0) text.Append(' ');
            text.Append(Words[random.Next(Words.Length)]);
        }
        return text.ToString();
    }
}
