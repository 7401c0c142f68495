using Baton.Core.Ids;

namespace Baton.Router.Workers;

/// <summary>What an operator says about one worker: a base URL and its role.</summary>
public sealed record WorkerSpec
{
    /// <summary>Absolute http or https URL without a path. Only ever the physical worker: a rank is never part of it.</summary>
    public required Uri Url { get; init; }
    public required WorkerRole Role { get; init; }
    /// <summary>Where the prefill worker's bootstrap server listens, or null when nobody said.</summary>
    public int? BootstrapPort { get; init; }
    /// <summary>Sent as a bearer token when the client sent no authorization of its own. Never shown.</summary>
    public string? ApiKey { get; init; }
    /// <summary>Models that the worker serves; empty until <c>/server_info</c> told.</summary>
    public IReadOnlyList<string> Models { get; init; } = [];
    /// <summary>Data-parallel ranks, when the operator knows them before the worker answers.</summary>
    public int? DpSize { get; init; }
    /// <summary>Free labels, shown in the worker list.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
    public int Priority { get; init; } = 50;
    public double Cost { get; init; } = 1;
    public WorkerTuning Tuning { get; init; } = WorkerTuning.None;

    /// <summary>Parses <c>http://host:port</c>; a scheme may be missing.</summary>
    /// <exception cref="FormatException">Not a base URL; the text says what is wrong with it.</exception>
    public static Uri ParseUrl(string text)
    {
        // The next flag, mistyped: as a host it would be waited for.
        if (text.StartsWith('-')) throw new FormatException($"'{text}' is neither a worker URL nor a flag that is known.");
        string full = text.Contains("://", StringComparison.Ordinal) ? text : "http://" + text;
        if (!Uri.TryCreate(full, UriKind.Absolute, out Uri? url) || url.Scheme is not ("http" or "https"))
            throw new FormatException($"'{text}' is not a worker URL: write http://host:port.");
        if (url.UserInfo.Length > 0 || url.Query.Length > 0 || url.AbsolutePath != "/")
            throw new FormatException($"'{text}' is not a base URL: leave out user, path and query (a rank such as @1 is no part of a URL either).");
        return new Uri(url.GetLeftPart(UriPartial.Authority));
    }
}
