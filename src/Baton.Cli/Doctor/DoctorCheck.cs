namespace Baton.Cli.Doctor;

internal enum Verdict
{
    Good,
    /// <summary>Works, but not well, or not everything works.</summary>
    Warning,
    /// <summary><c>baton up</c> will not work.</summary>
    Bad,
}

/// <summary>One finding about this machine.</summary>
/// <param name="Subject">What was looked at: <c>port 30000</c>.</param>
/// <param name="Finding">What was found, with values.</param>
/// <param name="Advice">What to do; empty when all is well.</param>
internal sealed record DoctorCheck(string Subject, Verdict Verdict, string Finding, string Advice = "");
