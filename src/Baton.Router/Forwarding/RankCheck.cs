using System.Buffers.Text;

namespace Baton.Router.Forwarding;

/// <summary>Compares the ranks that an answer names in <c>meta_info</c> with the ones that were asked for.</summary>
/// <remarks>
/// A search over the bytes, no parsing: inside generated text a quote is escaped, so <c>"dp_rank":</c> only matches a real member.
/// </remarks>
internal sealed class RankCheck(int? decodeRank, int? prefillRank)
{
    /// <summary>Some part of the answer named the decode rank.</summary>
    public bool SawDecodeRank { get; private set; }

    /// <summary>What is wrong in these bytes, or null.</summary>
    public string? Mismatch(ReadOnlySpan<byte> answer)
    {
        if (decodeRank is { } expected)
        {
            string? wrong = Find(answer, "\"dp_rank\":"u8, "dp_rank", expected, out bool seen);
            SawDecodeRank |= seen;
            if (wrong is not null) return wrong;
        }
        return prefillRank is { } prefill ? Find(answer, "\"prefill_dp_rank\":"u8, "prefill_dp_rank", prefill, out _) : null;
    }

    private static string? Find(ReadOnlySpan<byte> answer, ReadOnlySpan<byte> key, string name, int expected, out bool seen)
    {
        seen = false;
        while (answer.IndexOf(key) is var at and >= 0)
        {
            answer = answer[(at + key.Length)..].TrimStart((byte)' ');
            if (!Utf8Parser.TryParse(answer, out int found, out _)) continue;
            seen = true;
            if (found != expected) return $"{name} is {found}, and {expected} was asked for";
        }
        return null;
    }
}
