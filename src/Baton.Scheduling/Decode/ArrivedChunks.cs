using Baton.Core.Engine;
using Baton.Core.Kv;

namespace Baton.Scheduling.Decode;

/// <summary>Chunks that have come over the links and are not cells yet, first come first served.</summary>
/// <remarks>Their memory counts against the peer's window until it goes back: an import gives it back, and so does the end of the sequence.</remarks>
internal sealed class ArrivedChunks
{
    private readonly Queue<ArrivedChunk> _waiting = new();

    public void Add(DecodeSequence sequence, KvRange range, KvBuffer payload) => _waiting.Enqueue(new ArrivedChunk(sequence, range, payload));

    /// <summary>Moves chunks into the plan until it has <paramref name="maxImports"/>. The engine owns their memory from then on.</summary>
    public void PlanImports(StepPlan plan, int maxImports)
    {
        DropEnded();
        while (plan.Imports.Count < maxImports && _waiting.TryDequeue(out ArrivedChunk chunk))
        {
            chunk.Sequence.IsInEngine = true;
            plan.Imports.Add(new KvImport(chunk.Sequence.Sequence, chunk.Sequence.Room, chunk.Range, chunk.Payload));
            DropEnded();
        }
    }

    /// <summary>Gives back the memory of those at the front whose sequences have ended.</summary>
    public void DropEnded()
    {
        while (_waiting.TryPeek(out ArrivedChunk chunk) && chunk.Sequence.HasEnded)
        {
            _waiting.Dequeue();
            chunk.Payload.Dispose();
        }
    }

    private readonly record struct ArrivedChunk(DecodeSequence Sequence, KvRange Range, KvBuffer Payload);
}
