namespace Baton.Bench.Reports;

/// <summary>Prints numbers as Python does, since scripts read bench_serving's report by its text.</summary>
internal static class PythonFormat
{
    /// <summary><c>:.2f</c>. Exact ties go to the even digit, where .NET's F2 goes away from zero.</summary>
    public static string Fixed2(double value)
    {
        // A double is an exact tie at two decimals only when its fraction is an odd number of eighths.
        double eighths = value * 8;
        bool canBeTie = Math.Abs(eighths) < 1L << 52 && eighths == Math.Floor(eighths);
        return canBeTie ? Math.Round((decimal)value, 2, MidpointRounding.ToEven).ToString("F2") : value.ToString("F2");
    }

    /// <summary><c>str(float)</c> for rates: <c>inf</c>, <c>2.0</c>, <c>3.2</c>, <c>1e-05</c>.</summary>
    public static string Float(double value)
    {
        if (double.IsPositiveInfinity(value)) return "inf";
        return value == Math.Floor(value) && Math.Abs(value) < 1e16 ? value.ToString("F1") : value.ToString("R").Replace('E', 'e');
    }

    /// <summary><c>{s:c^50}</c>: one filler more on the right when it does not divide.</summary>
    public static string Heading(string text, char filler)
    {
        int left = Math.Max(0, (50 - text.Length) / 2);
        return text.PadLeft(text.Length + left, filler).PadRight(50, filler);
    }
}
