namespace Baton.Cli.Supervision;

/// <summary>Starts children of one program with one environment.</summary>
/// <param name="environment">What the children share and a command line must not show.</param>
internal sealed class ChildLauncher(SelfExecutable self, IReadOnlyDictionary<string, string> environment)
{
    /// <summary>Tells a child to end when its standard input does: see <see cref="ParentWatch"/>.</summary>
    private const string ExitWithParent = "--exit-with-parent";

    /// <param name="onLine">Gets each line of output, from pool threads.</param>
    public ChildProcess Start(ChildSpec spec, Action<string> onLine) =>
        ChildProcess.Start(self, [.. spec.Arguments, ExitWithParent], environment, onLine);
}
