using Baton.Bench.Runs;

namespace Baton.Bench.Reports;

/// <summary>Where the JSON line goes when nobody says: bench_serving's name for it.</summary>
public static class OutputFileName
{
    public static string For(BenchSettings settings, DateTimeOffset today)
    {
        string start = $"{settings.Backend.Name}_{today:MMdd}_{settings.Dataset.NumPrompts}";
        return settings.Dataset.Name.StartsWith("random", StringComparison.Ordinal)
            ? $"{start}_{settings.Dataset.RandomInputLen}_{settings.Dataset.RandomOutputLen}.jsonl"
            : $"{start}_{settings.Dataset.Name}.jsonl";
    }
}
