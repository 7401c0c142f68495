using System.Globalization;

namespace Baton.Core.Engine.Simulated;

/// <summary>What a step of a simulated engine costs, in milliseconds.</summary>
/// <remarks>
/// step = fixed + prompt · (prompt tokens) + attention · (sum over prompt tokens of the positions before each)
///      + row · (decode rows) + rowContext · (sum over rows of the positions before each) + copy · (tokens imported or exported).
/// A step without prompt tokens and rows costs its copies only.
/// </remarks>
public sealed record CostModel
{
    /// <summary>Each step that computes anything.</summary>
    public double FixedMs { get; init; } = 1;
    /// <summary>Each prompt token.</summary>
    public double PromptTokenMs { get; init; } = 0.05;
    /// <summary>Each pair of a prompt token and a position before it.</summary>
    public double AttentionMs { get; init; }
    /// <summary>Each decode row.</summary>
    public double RowMs { get; init; } = 0.1;
    /// <summary>Each position before a decode row.</summary>
    public double RowContextMs { get; init; }
    /// <summary>Each token copied in or out.</summary>
    public double CopyTokenMs { get; init; }

    /// <summary>Nothing takes any time: for tests of order and not of speed.</summary>
    public static CostModel Free { get; } = new() { FixedMs = 0, PromptTokenMs = 0, RowMs = 0 };

    /// <summary>Cost of computing positions [<paramref name="start"/>, <paramref name="end"/>) of a prompt, without the step's fixed part.</summary>
    public double ChunkMs(int start, int end)
    {
        double pairs = ((double)end * (end - 1) - (double)start * (start - 1)) / 2;
        return PromptTokenMs * (end - start) + AttentionMs * pairs;
    }

    /// <summary>Reads <c>fixed=5,prompt=0.2,attention=1e-6,row=0.1,row-context=1e-5,copy=0.001</c>; what is left out is 0.</summary>
    /// <exception cref="FormatException">An unknown name, or a number that is none or negative.</exception>
    public static CostModel Parse(string text)
    {
        CostModel cost = Free;
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] pair = part.Split('=', 2, StringSplitOptions.TrimEntries);
            if (pair.Length != 2 || !double.TryParse(pair[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double ms) || !(ms >= 0) || double.IsInfinity(ms))
            {
                throw new FormatException($"Cost \"{part}\" is not name=milliseconds with a number of at least 0.");
            }
            cost = pair[0] switch
            {
                "fixed" => cost with { FixedMs = ms },
                "prompt" => cost with { PromptTokenMs = ms },
                "attention" => cost with { AttentionMs = ms },
                "row" => cost with { RowMs = ms },
                "row-context" => cost with { RowContextMs = ms },
                "copy" => cost with { CopyTokenMs = ms },
                _ => throw new FormatException($"Cost \"{pair[0]}\" is not known. Use fixed, prompt, attention, row, row-context and copy."),
            };
        }
        return cost;
    }

    /// <summary>The text that <see cref="Parse"/> reads.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"fixed={FixedMs},prompt={PromptTokenMs},attention={AttentionMs},row={RowMs},row-context={RowContextMs},copy={CopyTokenMs}");
}
