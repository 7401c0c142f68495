namespace Baton.Bench.Figures;

/// <summary>Sorted values and what one says about them. Empty ones report 0 everywhere, as bench_serving does.</summary>
public sealed class Distribution
{
    public static readonly Distribution Empty = new([]);
    private readonly double[] _sorted;

    public Distribution(IEnumerable<double> values)
    {
        _sorted = [.. values];
        Array.Sort(_sorted);
        Mean = _sorted.Length == 0 ? 0 : _sorted.Average();
    }

    public int Count => _sorted.Length;
    public IReadOnlyList<double> Sorted => _sorted;
    public double Mean { get; }
    public double Median => Percentile(50);
    public double Max => _sorted.Length == 0 ? 0 : _sorted[^1];

    /// <summary>Population standard deviation, as numpy's default.</summary>
    public double StandardDeviation => _sorted.Length == 0 ? 0 : Math.Sqrt(_sorted.Sum(value => (value - Mean) * (value - Mean)) / _sorted.Length);

    /// <param name="percent">In [0, 100]. Between two values by linear interpolation: numpy's default method.</param>
    public double Percentile(double percent)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(percent, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(percent, 100);
        if (_sorted.Length == 0) return 0;
        double position = percent / 100 * (_sorted.Length - 1);
        int below = (int)position;
        if (below + 1 >= _sorted.Length) return _sorted[^1];
        return _sorted[below] + ((_sorted[below + 1] - _sorted[below]) * (position - below));
    }
}
