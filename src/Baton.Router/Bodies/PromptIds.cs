using System.Buffers.Text;

namespace Baton.Router.Bodies;

/// <summary>Token ids of a prompt that came as such.</summary>
internal static class PromptIds
{
    /// <summary>The prompt is a list of numbers, or a list of such lists.</summary>
    public static bool Are(ReadOnlySpan<byte> prompt)
    {
        int at = 0;
        while (at < prompt.Length && (prompt[at] is (byte)'[' or (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')) at++;
        return at > 0 && at < prompt.Length && char.IsAsciiDigit((char)prompt[at]);
    }

    /// <summary>The ids as written, at most so many; of a batch those of all prompts in a row.</summary>
    public static uint[] Read(ReadOnlySpan<byte> prompt, int limit)
    {
        List<uint> ids = new(Math.Min(limit, prompt.Length / 2));
        while (ids.Count < limit)
        {
            int digit = prompt.IndexOfAnyInRange((byte)'0', (byte)'9');
            if (digit < 0) break;
            prompt = prompt[digit..];
            // What is no id (too long a number) is no reason to stop: the worker will refuse it.
            if (!Utf8Parser.TryParse(prompt, out uint id, out int length)) (id, length) = (uint.MaxValue, prompt.IndexOfAnyExceptInRange((byte)'0', (byte)'9'));
            if (length < 0) break;
            ids.Add(id);
            prompt = prompt[length..];
        }
        return [.. ids];
    }
}
