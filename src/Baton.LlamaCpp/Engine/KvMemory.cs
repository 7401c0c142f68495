using System.Diagnostics;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Engine;

/// <summary>The cells of one context: every <c>seq_*</c> and <c>state_seq_*</c> call, each behind the checks that the library does not make.</summary>
/// <remarks>
/// Ids outside [0, n_seq_max) abort the process, -1 means "all sequences" to some calls, and a partial copy needs the unified cache.
/// Two ids above the scheduler's are scratch: one receives an import before it joins its sequence, one holds an export.
/// </remarks>
internal sealed unsafe class KvMemory
{
    private readonly nint _context;
    private readonly nint _memory;
    private readonly int _maxSequences;
    private readonly KvBlob _blob;
    private int[] _rowOf = [];

    internal KvMemory(nint context, nint memory, int maxSequences, KvLayout layout)
    {
        (_context, _memory, _maxSequences, _blob) = (context, memory, maxSequences, new KvBlob(layout));
    }

    internal const int ScratchSequences = 2;

    private int ImportScratch => _maxSequences;

    private int ExportScratch => _maxSequences + 1;

    internal KvLayout Layout => _blob.Layout;

    /// <summary>Frees all cells of a sequence.</summary>
    internal void Clear(SequenceId sequence) => Remove(Checked(sequence), 0);

    /// <summary>Frees the cells from position <paramref name="start"/> on.</summary>
    internal void Truncate(SequenceId sequence, int start) => Remove(Checked(sequence), start);

    /// <summary>Copies computed positions into <paramref name="payload"/>, which was rented for them.</summary>
    /// <exception cref="EngineException">The library does not have those positions, though the engine computed them.</exception>
    internal void Export(SequenceId sequence, KvRange range, KvBuffer payload)
    {
        int source = Checked(sequence);
        Span<byte> blob = BlobIn(payload, range);
        // Each call walks over all cells of the context, so none is made that is not needed.
        bool isWhole = range.Start == 0 && NativeMethods.SequenceMaxPosition(_memory, source) == range.End - 1;
        if (!isWhole) NativeMethods.SequenceCopy(_memory, source, ExportScratch, range.Start, range.End);
        try
        {
            nuint written;
            fixed (byte* to = blob) written = NativeMethods.StateGet(_context, to, (nuint)blob.Length, isWhole ? source : ExportScratch);
            if (written != (nuint)blob.Length) throw new EngineException($"{sequence}: the library wrote {written} bytes of state for {range} where {blob.Length} were expected. {NativeLog.TakeErrors()}");
        }
        finally
        {
            if (!isWhole) Remove(ExportScratch, 0);
        }
        if (_rowOf.Length < range.TokenCount) _rowOf = new int[range.TokenCount];
        _blob.Unwrap(blob, range, _rowOf);
    }

    /// <summary>Adds positions to a sequence. The caller has checked that they continue it, fit the cells and have the layout's size.</summary>
    /// <param name="payload">Its memory is used up: it holds no payload afterwards.</param>
    /// <returns>False when a value is not finite or the library refused; the sequence is as before.</returns>
    internal bool TryImport(SequenceId sequence, KvRange range, KvBuffer payload)
    {
        int destination = Checked(sequence);
        if (!payload.IsFinite && !KvPayloadCheck.IsFinite(payload.Span, Layout, range.TokenCount)) return false;
        // set_data empties its destination first: what continues a sequence goes to a scratch sequence, and copying from there only tags cells.
        int target = range.Start == 0 ? destination : ImportScratch;
        Span<byte> blob = BlobIn(payload, range);
        _blob.Wrap(blob, range, target);
        nuint consumed;
        fixed (byte* from = blob) consumed = NativeMethods.StateSet(_context, from, (nuint)blob.Length, target);
        bool isComplete = consumed == (nuint)blob.Length
            && NativeMethods.SequenceMinPosition(_memory, target) == range.Start
            && NativeMethods.SequenceMaxPosition(_memory, target) == range.End - 1;
        if (target == destination)
        {
            if (!isComplete) Remove(destination, 0);
            return isComplete;
        }
        if (isComplete) NativeMethods.SequenceCopy(_memory, ImportScratch, destination, range.Start, range.End);
        Remove(ImportScratch, 0);
        return isComplete;
    }

    /// <summary>-1 when the sequence is empty.</summary>
    internal int LastPosition(SequenceId sequence) => NativeMethods.SequenceMaxPosition(_memory, Checked(sequence));

    private int Checked(SequenceId sequence)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sequence.Value);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(sequence.Value, _maxSequences);
        return sequence.Value;
    }

    private void Remove(int id, int start)
    {
        if (NativeMethods.SequenceRemove(_memory, id, start, -1) == 0) throw new EngineException($"llama_memory_seq_rm refused sequence {id} from position {start} on.");
    }

    /// <summary>The library's form of a chunk, in the chunk's own memory.</summary>
    private Span<byte> BlobIn(KvBuffer payload, KvRange range)
    {
        long bytes = _blob.SizeOf(range.TokenCount);
        if (bytes > payload.Room.Length) throw new UnreachableException($"{range} was brought in {payload.Room.Length} bytes where llama.cpp's form of it needs {bytes}: rent its memory by layout.");
        return payload.Room[..(int)bytes];
    }
}
