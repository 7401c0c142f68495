using System.CommandLine.Parsing;
using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Cli.Commands;

/// <summary>Readers of values that only flags of <c>baton router</c> have. What they refuse they refuse by the flag's name.</summary>
internal static class RouterFlagText
{
    /// <summary>URL, then optionally a port or the word none, any number of times.</summary>
    public static List<WorkerSpec>? ParsePrefills(ArgumentResult result)
    {
        List<WorkerSpec> found = [];
        try
        {
            foreach (string text in result.Tokens.Select(t => t.Value))
            {
                if (found.Count > 0 && text is "none" or "None") continue;
                if (found.Count == 0 || !int.TryParse(text, out int port)) found.Add(new WorkerSpec { Url = WorkerSpec.ParseUrl(text), Role = WorkerRole.Prefill });
                else if (port is >= 1 and <= 65535) found[^1] = found[^1] with { BootstrapPort = port };
                else throw new FormatException($"{port} is not a port.");
            }
            return found;
        }
        catch (FormatException e)
        {
            result.AddError($"--prefill: {e.Message}");
            return null;
        }
    }

    /// <summary>Bounds of buckets.</summary>
    public static double[] Ascending(double[] buckets)
    {
        for (int i = 0; i < buckets.Length; i++)
            if (!double.IsFinite(buckets[i]) || buckets[i] <= (i == 0 ? 0 : buckets[i - 1])) throw new FormatException($"--prometheus-duration-buckets: {buckets[i]} is not more than what stands before it (the first one is above 0).");
        return buckets;
    }

    /// <summary>What a browser sends as <c>Origin</c>, or <c>*</c>.</summary>
    public static string AnOrigin(string text) => text == "*" || (Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https" && url.GetLeftPart(UriPartial.Authority).Equals(text, StringComparison.OrdinalIgnoreCase))
        ? text.ToLowerInvariant() : throw new FormatException($"--cors-allowed-origins '{text}' is no origin: write https://page.example, without a path or a slash at its end, or *.");

    public static string APath(string text) => text.StartsWith('/') ? text : throw new FormatException($"--health-check-endpoint '{text}' is no path: begin it with a slash.");

    public static (string Name, string Model) SplitAlias(string text) => text.Split('=', 2) is [{ Length: > 0 } name, { Length: > 0 } model]
        ? (name, model) : throw new FormatException($"--model-alias '{text}' is written NAME=WORKERS_NAME.");

    /// <summary>KEY=VALUE words of one flag, each key once.</summary>
    public static Dictionary<string, string> Labels(string flag, IEnumerable<string> words)
    {
        Dictionary<string, string> labels = [];
        foreach (string word in words)
            if (word.Split('=', 2) is not [{ Length: > 0 } key, { Length: > 0 } value] || !labels.TryAdd(key, value)) throw new FormatException($"{flag} '{word}' is written KEY=VALUE, each key once.");
        return labels;
    }
}
