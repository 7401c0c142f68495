namespace Baton.Core.Kv;

/// <summary>Token positions [Start, End) of one sequence.</summary>
public readonly record struct KvRange(int Start, int End)
{
    public int TokenCount => End - Start;

    public override string ToString() => $"[{Start},{End})";
}
