namespace Baton.Cli.Supervision;

/// <summary>How to start this program once more, as another process.</summary>
/// <param name="FileName">The program itself, or the <c>dotnet</c> host.</param>
/// <param name="LeadingArguments">The path of <c>baton.dll</c> under the host, else nothing.</param>
internal sealed record SelfExecutable(string FileName, IReadOnlyList<string> LeadingArguments)
{
    /// <summary>Of the running process.</summary>
    public static SelfExecutable Current => From(Environment.ProcessPath, Path.Combine(AppContext.BaseDirectory, "baton.dll"));

    /// <param name="processPath">The running executable: <c>.../baton</c> under <c>dotnet run</c> and when published, <c>.../dotnet</c> under <c>dotnet baton.dll</c>.</param>
    /// <param name="assemblyPath">Where <c>baton.dll</c> is, if there is one.</param>
    public static SelfExecutable From(string? processPath, string assemblyPath)
    {
        if (processPath is null) return new("dotnet", [assemblyPath]);
        bool isHost = string.Equals(Path.GetFileNameWithoutExtension(processPath), "dotnet", StringComparison.OrdinalIgnoreCase);
        return isHost ? new(processPath, [assemblyPath]) : new(processPath, []);
    }
}
