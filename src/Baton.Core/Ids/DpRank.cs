namespace Baton.Core.Ids;

/// <summary>A data-parallel replica inside one worker, 0-based and below that worker's dp size.</summary>
public readonly record struct DpRank(int Value) : IComparable<DpRank>
{
    public static readonly DpRank Zero = new(0);

    public bool IsBelow(int dpSize) => Value >= 0 && Value < dpSize;

    public int CompareTo(DpRank other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString();
}
