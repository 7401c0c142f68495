using System.Buffers.Text;

namespace Baton.Router.Answers;

/// <summary>Reads off a passing answer how many tokens its worker counted: <c>completion_tokens</c> and <c>prompt_tokens</c>.</summary>
/// <remarks>
/// A search over the bytes, no parsing: inside generated text a quote is escaped, so the names only match real members. A whole answer is
/// the sum over its items. In a stream every event counts from its sequence's beginning, so the last one says it all; sequences of a
/// streamed batch are told apart by the <c>index</c> of their event. An OpenAI stream has no count unless its client asked for usage.
/// </remarks>
internal sealed class UsageScan(bool stream, bool batch)
{
    // Longer than a name with its number.
    private const int SeamBytes = 64;
    private byte[]? _seam;
    private int _kept;
    private readonly Dictionary<long, (long Prompt, long Completion)>? _sequences = stream && batch ? [] : null;
    private readonly SseSplitter? _events = stream && batch ? new() : null;
    private long _prompt, _completion;

    public long Prompt => _sequences is { } all ? all.Values.Sum(s => s.Prompt) : _prompt;

    public long Completion => _sequences is { } all ? all.Values.Sum(s => s.Completion) : _completion;

    /// <summary>Looks at the next bytes of the answer, in order.</summary>
    /// <param name="isLast">Nothing follows, so nothing has to be kept of them.</param>
    public void Look(ReadOnlySpan<byte> bytes, bool isLast = false)
    {
        if (_events is null)
        {
            Scan(bytes, isLast);
            return;
        }
        _events.Add(bytes);
        while (_events.TryTake(out ReadOnlyMemory<byte> sse))
        {
            (_prompt, _completion) = (0, 0);
            Scan(sse.Span, isLast: true);
            ReadOnlySpan<byte> data = SseSplitter.Data(sse).Span;
            if (_completion > 0) _sequences![JsonPlaces.Integer(data, JsonPlaces.Find(data, "index")) ?? 0] = (_prompt, _completion);
        }
    }

    private void Scan(ReadOnlySpan<byte> bytes, bool isLast)
    {
        int taken = 0;
        if (_kept > 0)
        {
            // A name or a number may lie across two reads: its beginning was kept.
            int head = Math.Min(bytes.Length, SeamBytes);
            bytes[..head].CopyTo(_seam.AsSpan(_kept));
            ReadOnlySpan<byte> both = _seam.AsSpan(0, _kept + head);
            bool isAll = head == bytes.Length;
            int read = Take(both, before: isAll ? both.Length : _kept);
            if (isAll)
            {
                Keep(both[read..]);
                return;
            }
            taken = Math.Max(0, read - _kept);
        }
        taken += Take(bytes[taken..], before: bytes.Length);
        if (!isLast) Keep(bytes[taken..]);
    }

    private void Keep(ReadOnlySpan<byte> rest)
    {
        _kept = Math.Min(rest.Length, SeamBytes);
        rest[^_kept..].CopyTo(_seam ??= new byte[2 * SeamBytes]);
    }

    /// <summary>Takes every count whose name begins before an offset, if the number ends in these bytes too.</summary>
    /// <returns>Behind the last one taken.</returns>
    private int Take(ReadOnlySpan<byte> bytes, int before)
    {
        int at = 0, taken = 0;
        while (bytes[at..].IndexOf("_tokens\":"u8) is var found and >= 0)
        {
            ReadOnlySpan<byte> front = bytes[..(at + found)];
            at += found + "_tokens\":"u8.Length;
            bool isCompletion = front.EndsWith("\"completion"u8);
            if (!isCompletion && !front.EndsWith("\"prompt"u8)) continue;
            if (front.Length - (isCompletion ? "\"completion"u8 : "\"prompt"u8).Length >= before) break;
            int digits = at;
            while (digits < bytes.Length && bytes[digits] == ' ') digits++;
            if (!Utf8Parser.TryParse(bytes[digits..], out long count, out int length) || digits + length == bytes.Length) continue;
            at = taken = digits + length;
            ref long sum = ref isCompletion ? ref _completion : ref _prompt;
            sum = stream ? count : sum + count;
        }
        return taken;
    }
}
