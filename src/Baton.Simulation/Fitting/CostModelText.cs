using Baton.Core.Engine.Simulated;

namespace Baton.Simulation.Fitting;

/// <summary>A cost model as a user writes it: its terms, or a file that <c>baton simulate fit</c> wrote.</summary>
public static class CostModelText
{
    private const string FilePrefix = "fitted:";

    /// <param name="text"><c>fixed=5,prompt=0.2,...</c> or <c>fitted:FILE</c>.</param>
    /// <exception cref="FormatException">Neither, or a file that cannot be read; the text is for the user.</exception>
    public static CostModel Read(string text)
    {
        if (!text.StartsWith(FilePrefix, StringComparison.Ordinal)) return CostModel.Parse(text);
        string path = text[FilePrefix.Length..];
        try
        {
            return FittedCost.FromJson(File.ReadAllText(path)).Cost;
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FormatException($"{text}: {unreadable.Message}", unreadable);
        }
        catch (FormatException wrong)
        {
            throw new FormatException($"{text}: {wrong.Message}", wrong);
        }
    }
}
