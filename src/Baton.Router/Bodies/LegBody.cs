using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace Baton.Router.Bodies;

/// <summary>The keys that pair the two legs of one attempt.</summary>
/// <param name="Host">Host of the prefill URL, IPv6 in brackets, no port.</param>
/// <param name="Port">The prefill's bootstrap port, or null when it is not known.</param>
/// <param name="Rooms">One per sequence of the leg, never 0.</param>
/// <param name="IsBatch">The fields become lists with one element per room.</param>
public sealed record PairingFields(string Host, int? Port, IReadOnlyList<long> Rooms, bool IsBatch);

/// <summary>One leg's request body in a pooled buffer.</summary>
/// <remarks>
/// Owned by the leg that sends it. A body that a cancelled transport may still be reading is abandoned to the collector
/// instead of returned: a rented buffer in two hands is worse than an allocation.
/// </remarks>
public sealed class LegBody : IDisposable
{
    private byte[]? _buffer;
    private readonly int _length;

    private LegBody(byte[] buffer, int length) => (_buffer, _length) = (buffer, length);

    public ReadOnlyMemory<byte> Utf8 => _buffer is { } buffer ? buffer.AsMemory(0, _length) : throw new ObjectDisposedException(nameof(LegBody));

    /// <summary>Gives the buffer back to the pool. Only once nobody reads <see cref="Utf8"/> any more.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _buffer, null) is { } buffer) ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>Lets go of the buffer without returning it.</summary>
    public void Abandon() => Interlocked.Exchange(ref _buffer, null);

    /// <summary>Writes <c>{</c>, the client's own members as they came, then the keys that are ours, then <c>}</c>.</summary>
    /// <param name="edits">Values of the client's body to write differently, or null.</param>
    /// <param name="pairing">Null on a unified worker, which needs none.</param>
    /// <param name="routedRank">Rank of the worker that receives this leg, or null when the worker chooses.</param>
    /// <param name="prefillRank">Only on the decode leg: which prefill rank holds the KV cache.</param>
    public static LegBody Write(ClientBody body, ByteEdits? edits, PairingFields? pairing, int? routedRank, int? prefillRank, RankField rankField = RankField.RoutedDpRank)
    {
        int capacity = body.Utf8.Length + (edits?.ExtraBytes ?? 0) + 192 + (pairing is null ? 0 : (pairing.Host.Length + 40) * pairing.Rooms.Count);
        Writer writer = new(ArrayPool<byte>.Shared.Rent(Math.Max(capacity, 256)));
        writer.Raw("{"u8);
        foreach (Range run in body.Kept) writer.Member(body.Utf8.Span, run, edits);
        if (pairing is not null) writer.Pairing(pairing);
        if (routedRank is { } rank) writer.Integer(rankField == RankField.RoutedDpRank ? "routed_dp_rank" : "data_parallel_rank", rank);
        if (prefillRank is { } hint && rankField == RankField.RoutedDpRank) writer.Integer("disagg_prefill_dp_rank", hint);
        writer.Raw("}"u8);
        return new LegBody(writer.Buffer, writer.Length);
    }

    private ref struct Writer(byte[] buffer)
    {
        private bool _any;

        public byte[] Buffer { get; } = buffer;

        public int Length { get; private set; }

        public void Raw(scoped ReadOnlySpan<byte> bytes)
        {
            bytes.CopyTo(Buffer.AsSpan(Length));
            Length += bytes.Length;
        }

        public void Member(scoped ReadOnlySpan<byte> body, Range run, ByteEdits? edits)
        {
            Comma();
            (int at, int end) = (run.Start.Value, run.End.Value);
            if (edits is not null)
            {
                foreach ((int start, int stop, byte[] with) in edits.InOrder)
                {
                    if (start < at || stop > end) continue;
                    Raw(body[at..start]);
                    Raw(with);
                    at = stop;
                }
            }
            Raw(body[at..end]);
        }

        public void Pairing(PairingFields pairing)
        {
            Name("bootstrap_host");
            Open(pairing);
            for (int i = 0; i < Copies(pairing); i++)
            {
                if (i > 0) Raw(","u8);
                Raw("\""u8);
                Length += Encoding.UTF8.GetBytes(pairing.Host, Buffer.AsSpan(Length));
                Raw("\""u8);
            }
            Close(pairing);
            Name("bootstrap_port");
            Open(pairing);
            for (int i = 0; i < Copies(pairing); i++)
            {
                if (i > 0) Raw(","u8);
                if (pairing.Port is { } port) Number(port);
                else Raw("null"u8);
            }
            Close(pairing);
            Name("bootstrap_room");
            Open(pairing);
            for (int i = 0; i < Copies(pairing); i++)
            {
                if (i > 0) Raw(","u8);
                Number(pairing.Rooms[i]);
            }
            Close(pairing);
        }

        public void Integer(string name, int value)
        {
            Name(name);
            Number(value);
        }

        private static int Copies(PairingFields pairing) => pairing.IsBatch ? pairing.Rooms.Count : 1;

        private void Open(PairingFields pairing)
        {
            if (pairing.IsBatch) Raw("["u8);
        }

        private void Close(PairingFields pairing)
        {
            if (pairing.IsBatch) Raw("]"u8);
        }

        private void Name(string name)
        {
            Comma();
            Raw("\""u8);
            Length += Encoding.UTF8.GetBytes(name, Buffer.AsSpan(Length));
            Raw("\":"u8);
        }

        // A room passes 2^53: it is written from the long, never through a double.
        private void Number(long value)
        {
            Utf8Formatter.TryFormat(value, Buffer.AsSpan(Length), out int written);
            Length += written;
        }

        private void Comma()
        {
            if (_any) Raw(","u8);
            _any = true;
        }
    }
}
