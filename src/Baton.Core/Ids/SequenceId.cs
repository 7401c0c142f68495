namespace Baton.Core.Ids;

/// <summary>A slot in one engine context: the sequence id that llama.cpp tags KV cells with. In [0, <c>EngineInfo.MaxSequences</c>).</summary>
public readonly record struct SequenceId(int Value)
{
    public override string ToString() => $"seq-{Value}";
}
