namespace Baton.Cli.Supervision;

/// <summary>Finds the model that is served when none is named.</summary>
internal static class DemoModel
{
    private static readonly string RelativePath = Path.Combine("models", "demo", "baton-demo.gguf");

    /// <summary>In this checkout, or beside the program as <c>dotnet publish</c> lays it.</summary>
    /// <returns>The full path, or null when there is none.</returns>
    public static string? Find() => FindAbove(Environment.CurrentDirectory) ?? FindAbove(AppContext.BaseDirectory);

    internal static string? FindAbove(string directory)
    {
        for (DirectoryInfo? at = new(directory); at is not null; at = at.Parent)
        {
            string candidate = Path.Combine(at.FullName, RelativePath);
            if (File.Exists(candidate)) return candidate;
        }
        return null;
    }
}
