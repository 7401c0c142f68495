using Baton.Core.Ranks;
using Baton.Simulation.Figures;

namespace Baton.Simulation.Ttft;

/// <summary>One rate under one method. Times in milliseconds.</summary>
/// <param name="SpreadMs">Standard deviation of the runs' means.</param>
public sealed record TtftCell(double Rate, LoadBalanceMethod? Method, double MeanMs, double SpreadMs, double P50Ms, double P99Ms)
{
    public static TtftCell Of(double rate, LoadBalanceMethod? method, List<double> means, List<double> all)
    {
        all.Sort();
        double mean = means.Average();
        double variance = means.Count > 1 ? means.Sum(m => (m - mean) * (m - mean)) / (means.Count - 1) : 0;
        return new TtftCell(rate, method, mean, Math.Sqrt(variance), Percentiles.Of(all, 0.5), Percentiles.Of(all, 0.99));
    }
}

/// <summary>All rates and methods of one experiment.</summary>
public sealed record TtftTable(TtftSettings Settings, IReadOnlyList<TtftCell> Cells)
{
    public TtftCell Of(double rate, LoadBalanceMethod? method) => Cells.First(cell => cell.Rate.Equals(rate) && cell.Method == method);

    /// <summary>How much lower the mean is than with the rank tied to the room, in percent.</summary>
    public double Reduction(TtftCell cell) => 100 * (1 - cell.MeanMs / Of(cell.Rate, LoadBalanceMethod.FollowBootstrapRoom).MeanMs);

    /// <summary>How far mean and p99 are above the oracle's, in percent.</summary>
    public (double Mean, double P99) AboveOracle(TtftCell cell)
    {
        TtftCell oracle = Of(cell.Rate, null);
        return (100 * (cell.MeanMs / oracle.MeanMs - 1), 100 * (cell.P99Ms / oracle.P99Ms - 1));
    }
}
