using System.Buffers.Binary;
using Baton.Core.Engine;
using Baton.Core.Kv;

namespace Baton.LlamaCpp.Engine;

/// <summary>llama.cpp's state blob of one sequence, with flash attention and one stream: put together by us for imports, taken apart for exports, each where it lies.</summary>
/// <remarks>
/// Little endian, no padding: magic, source id, stream count 1; cell count; per cell position, 1, id; v_trans 0, layer count; per layer
/// (all K, then all V) type, row bytes and the rows. Every field but the rows follows from <see cref="KvLayout"/>, so a foreign header is
/// never forwarded: the library believes what it reads, up to allocating any announced size.
/// </remarks>
internal sealed class KvBlob(KvLayout layout)
{
    private const uint Magic = 0xAF143CD8;
    private const int PrefixBytes = 16, CellBytes = 12, LayerPrefixBytes = 12;

    internal KvLayout Layout => layout;

    /// <summary>Exact size of the blob of <paramref name="tokenCount"/> tokens.</summary>
    internal long SizeOf(int tokenCount) =>
        PrefixBytes + ((long)CellBytes * tokenCount) + 8 + (2L * LayerPrefixBytes * layout.LayerCount) + layout.PayloadBytes(tokenCount);

    /// <summary>Turns the payload at the front of <paramref name="room"/> into the blob that adds <paramref name="range"/> to the (empty) sequence <paramref name="sequence"/>.</summary>
    /// <remarks>In place, from the last layer to the first: each moves back by the headers in front of it.</remarks>
    internal void Wrap(Span<byte> room, KvRange range, int sequence)
    {
        int count = range.TokenCount, from = (int)layout.PayloadBytes(count), to = (int)SizeOf(count);
        WrapLayers(room, layout.ValueType, layout.ValueRowBytes, count, ref from, ref to);
        WrapLayers(room, layout.KeyType, layout.KeyRowBytes, count, ref from, ref to);
        Writer writer = new(room);
        writer.UInt32(Magic);
        writer.Int32(sequence);
        writer.UInt32(1);
        writer.UInt32((uint)count);
        for (int position = range.Start; position < range.End; position++)
        {
            writer.Int32(position);
            writer.UInt32(1);
            writer.Int32(sequence);
        }
        writer.UInt32(0);
        writer.UInt32((uint)layout.LayerCount);
    }

    /// <summary>Turns the library's own blob into the payload, in place: rows in order of position at the front of <paramref name="blob"/>.</summary>
    /// <exception cref="EngineException">The blob is not what this version writes: the library and our layouts disagree.</exception>
    internal void Unwrap(Span<byte> blob, KvRange range, Span<int> rowOf)
    {
        int count = range.TokenCount;
        Reader reader = new(blob);
        reader.Expect(Magic, "magic");
        reader.Skip(sizeof(int));
        reader.Expect(1, "n_stream");
        reader.Expect((uint)count, "cell_count");
        bool isInOrder = ReadPositions(ref reader, range, rowOf[..count]);
        reader.Expect(0, "v_trans");
        reader.Expect((uint)layout.LayerCount, "n_layer");
        // Rows that change places would overwrite each other; those in order only move to the front.
        if (!isInOrder) reader = new Reader(blob[(blob.Length - reader.LeftBytes)..].ToArray());
        Span<byte> payload = blob;
        ReadLayers(ref reader, layout.KeyType, layout.KeyRowBytes, isInOrder, rowOf[..count], ref payload);
        ReadLayers(ref reader, layout.ValueType, layout.ValueRowBytes, isInOrder, rowOf[..count], ref payload);
    }

    /// <summary>Learns types and row sizes from the blob of one computed token.</summary>
    /// <exception cref="EngineException">The model keeps its memory in another form.</exception>
    internal static KvLayout ReadLayout(ReadOnlySpan<byte> blob)
    {
        Reader reader = new(blob);
        reader.Expect(Magic, "magic");
        reader.Skip(sizeof(int));
        reader.Expect(1, "n_stream");
        reader.Expect(1, "cell_count");
        reader.Skip(CellBytes);
        reader.Expect(0, "v_trans");
        int layers = (int)Math.Min(reader.UInt32(), 4096);
        (int keyType, int[] keyRows) = ReadRowSizes(ref reader, layers);
        (int valueType, int[] valueRows) = ReadRowSizes(ref reader, layers);
        KvLayout layout = new(keyRows, valueRows, keyType, valueType);
        if (reader.LeftBytes != 0 || new KvBlob(layout).SizeOf(1) != blob.Length)
            throw new EngineException($"The state of one token has {blob.Length} bytes, {reader.LeftBytes} of them unknown to Baton: this model's memory is not plain attention over all positions.");
        return layout;
    }

    /// <summary>Where in the payload each row of the blob belongs.</summary>
    /// <returns>True when the cells come in order of position, as they do unless a chunk was placed around the end of the cache.</returns>
    private static bool ReadPositions(ref Reader reader, KvRange range, Span<int> rowOf)
    {
        bool isInOrder = true;
        for (int index = 0; index < rowOf.Length; index++)
        {
            int row = reader.Int32() - range.Start;
            if ((uint)row >= (uint)rowOf.Length) throw new EngineException($"The library exported position {row + range.Start}, which is outside {range}.");
            reader.Expect(1, "n_seq");
            reader.Skip(sizeof(int));
            rowOf[index] = row;
            isInOrder &= row == index;
        }
        return isInOrder;
    }

    private static void ReadLayers(ref Reader reader, int type, IReadOnlyList<int> rowBytes, bool isInOrder, ReadOnlySpan<int> rowOf, ref Span<byte> payload)
    {
        for (int layer = 0; layer < rowBytes.Count; layer++)
        {
            int bytes = rowBytes[layer];
            reader.Expect((uint)type, "cell type");
            reader.ExpectLong(bytes, "row bytes");
            ReadOnlySpan<byte> rows = reader.Take(bytes * rowOf.Length);
            Span<byte> target = payload[..rows.Length];
            payload = payload[rows.Length..];
            if (isInOrder)
            {
                rows.CopyTo(target);
                continue;
            }
            for (int index = 0; index < rowOf.Length; index++) rows.Slice(index * bytes, bytes).CopyTo(target[(rowOf[index] * bytes)..]);
        }
    }

    private static void WrapLayers(Span<byte> room, int type, IReadOnlyList<int> rowBytes, int count, ref int from, ref int to)
    {
        for (int layer = rowBytes.Count - 1; layer >= 0; layer--)
        {
            int bytes = rowBytes[layer] * count;
            (from, to) = (from - bytes, to - bytes);
            room.Slice(from, bytes).CopyTo(room[to..]);
            to -= LayerPrefixBytes;
            Writer writer = new(room[to..]);
            writer.Int32(type);
            writer.UInt64((ulong)rowBytes[layer]);
        }
    }

    private static (int Type, int[] RowBytes) ReadRowSizes(ref Reader reader, int layers)
    {
        int type = 0;
        int[] rows = new int[layers];
        for (int layer = 0; layer < layers; layer++)
        {
            int next = reader.Int32();
            if (layer > 0 && next != type) throw new EngineException("The layers of this model keep their cells in different types.");
            type = next;
            rows[layer] = (int)Math.Min(reader.UInt64(), int.MaxValue);
            reader.Skip(rows[layer]);
        }
        return (type, rows);
    }

    private ref struct Writer(Span<byte> target)
    {
        private Span<byte> _left = target;

        internal void Int32(int value)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_left, value);
            _left = _left[sizeof(int)..];
        }

        internal void UInt32(uint value) => Int32((int)value);

        internal void UInt64(ulong value)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_left, value);
            _left = _left[sizeof(ulong)..];
        }
    }

    private ref struct Reader(ReadOnlySpan<byte> source)
    {
        private ReadOnlySpan<byte> _left = source;

        internal readonly int LeftBytes => _left.Length;

        internal ReadOnlySpan<byte> Take(int bytes)
        {
            if (bytes > _left.Length) throw new EngineException($"The library's state blob ends {bytes - _left.Length} bytes early.");
            ReadOnlySpan<byte> taken = _left[..bytes];
            _left = _left[bytes..];
            return taken;
        }

        internal void Skip(int bytes) => Take(bytes);

        internal int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(sizeof(int)));

        internal uint UInt32() => (uint)Int32();

        internal ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

        internal void Expect(uint expected, string field)
        {
            uint actual = UInt32();
            if (actual != expected) throw new EngineException($"The library's state blob has {field} {actual} where {expected} was expected.");
        }

        internal void ExpectLong(long expected, string field)
        {
            ulong actual = UInt64();
            if (actual != (ulong)expected) throw new EngineException($"The library's state blob has {field} {actual} where {expected} was expected.");
        }
    }
}
