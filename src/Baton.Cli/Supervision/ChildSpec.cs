namespace Baton.Cli.Supervision;

/// <summary>One process that <c>baton up</c> keeps alive.</summary>
/// <param name="Name">In front of its log lines: <c>prefill-0</c>.</param>
/// <param name="Arguments">Of <c>baton</c>, command first. Secrets are not among them: everyone on the machine can read a command line.</param>
/// <param name="Url">Where its HTTP server listens.</param>
internal sealed record ChildSpec(string Name, IReadOnlyList<string> Arguments, Uri Url)
{
    /// <summary>Answers 200 as soon as the child can take work.</summary>
    public Uri HealthUrl => new(Url, "health");
}
