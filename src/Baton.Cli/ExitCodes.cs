namespace Baton.Cli;

/// <summary>What <c>baton</c> ends with, for scripts and for the supervisor.</summary>
internal static class ExitCodes
{
    public const int Success = 0;
    /// <summary>It started and failed; the last lines say why.</summary>
    public const int Failed = 1;
    /// <summary>The command line cannot be honoured. Starting it again does not help.</summary>
    public const int BadArguments = 2;
    /// <summary>The port that clients talk to is taken.</summary>
    public const int PortTaken = 3;
}
