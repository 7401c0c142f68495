namespace Baton.Simulation.Fitting;

/// <summary>Linear least squares with unknowns of at least 0: a cost below nothing explains no engine.</summary>
internal static class LeastSquares
{
    /// <param name="rows">One for each sample: what multiplies each unknown.</param>
    /// <param name="weights">Of the samples.</param>
    /// <returns>The unknowns. Every set of unknowns that are above 0 is solved, and the best admissible one wins: exact for the few there are.</returns>
    public static double[] SolveNonNegative(IReadOnlyList<double[]> rows, IReadOnlyList<double> values, IReadOnlyList<double> weights)
    {
        int count = rows[0].Length;
        // Counts span nine decades (a request, pairs of tokens): unknowns are scaled so that the equations are solvable.
        double[] scale = [.. Enumerable.Range(0, count).Select(u => Math.Max(rows.Max(row => Math.Abs(row[u])), double.Epsilon * 1e16))];
        double[,] normal = new double[count, count];
        double[] right = new double[count];
        double constant = 0;
        for (int i = 0; i < rows.Count; i++)
        {
            constant += weights[i] * values[i] * values[i];
            for (int a = 0; a < count; a++)
            {
                double left = weights[i] * rows[i][a] / scale[a];
                right[a] += left * values[i];
                for (int b = 0; b < count; b++) normal[a, b] += left * rows[i][b] / scale[b];
            }
        }
        double[] best = new double[count];
        double least = constant;
        for (int mask = 1; mask < 1 << count; mask++)
        {
            int[] free = [.. Enumerable.Range(0, count).Where(u => (mask >> u & 1) == 1)];
            if (Solve(normal, right, free) is not { } solution || Array.Exists(solution, value => value < 0)) continue;
            double error = constant;
            for (int a = 0; a < free.Length; a++) error -= solution[a] * right[free[a]];
            if (error >= least) continue;
            least = error;
            Array.Clear(best);
            for (int a = 0; a < free.Length; a++) best[free[a]] = solution[a] / scale[free[a]];
        }
        return best;
    }

    /// <summary>Gauss with pivoting on the chosen unknowns; null when the samples cannot tell them apart.</summary>
    private static double[]? Solve(double[,] normal, double[] right, int[] free)
    {
        int n = free.Length;
        double[][] system = [.. Enumerable.Range(0, n).Select(a => (double[])[.. free.Select(b => normal[free[a], b]), right[free[a]]])];
        for (int column = 0; column < n; column++)
        {
            int pivot = column;
            for (int row = column + 1; row < n; row++)
            {
                if (Math.Abs(system[row][column]) > Math.Abs(system[pivot][column])) pivot = row;
            }
            (system[column], system[pivot]) = (system[pivot], system[column]);
            if (Math.Abs(system[column][column]) <= 1e-12 * normal[free[column], free[column]]) return null;
            for (int row = 0; row < n; row++)
            {
                if (row == column) continue;
                double factor = system[row][column] / system[column][column];
                for (int k = column; k <= n; k++) system[row][k] -= factor * system[column][k];
            }
        }
        return [.. Enumerable.Range(0, n).Select(a => system[a][n] / system[a][a])];
    }
}
