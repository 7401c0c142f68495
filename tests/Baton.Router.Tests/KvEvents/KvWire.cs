using System.Buffers;
using System.Text;

namespace Baton.Router.Tests.KvEvents;

/// <summary>Bytes as a publisher of KV events would send them, put together by hand.</summary>
internal static class KvWire
{
    public static readonly byte[] Nil = [0xC0];

    public static byte[] Array(params byte[][] elements) => [(byte)(0x90 | elements.Length), .. elements.SelectMany(e => e)];

    public static byte[] Text(string text) => [(byte)(0xA0 | text.Length), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] Number(long number) => [0xD3, .. BigEndian((ulong)number)];

    public static byte[] Numbers(params long[] numbers) => Array([.. numbers.Select(Number)]);

    public static byte[] Batch(params byte[][] events) => Array([0xCB, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0], Array(events));

    public static byte[] Stored(long[] hashes, long? parent, long[] tokens, long blockSize, params byte[][] more) =>
        Array([Text("BlockStored"), Numbers(hashes), parent is { } p ? Number(p) : Nil, Numbers(tokens), Number(blockSize), .. more]);

    public static byte[] Removed(params long[] hashes) => Array(Text("BlockRemoved"), Numbers(hashes));

    public static byte[] Cleared() => Array(Text("AllBlocksCleared"));

    public static byte[] BigEndian(ulong number) => [.. Enumerable.Range(0, 8).Select(i => (byte)(number >> (56 - 8 * i)))];

    /// <summary>A sequence with a segment for every byte: no value is in one piece.</summary>
    public static ReadOnlySequence<byte> Torn(byte[] bytes)
    {
        Segment first = new(default, 0), last = first;
        foreach (byte one in bytes) last = last.Append(new[] { one });
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long at) => (Memory, RunningIndex) = (memory, at);

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            Segment next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
