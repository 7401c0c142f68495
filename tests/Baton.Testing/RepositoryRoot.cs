namespace Baton.Testing;

/// <summary>The checkout that the tests were built from: the folder that holds <c>Baton.slnx</c>.</summary>
public static class RepositoryRoot
{
    public static string Path { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(System.IO.Path.Combine(at.FullName, "Baton.slnx"))) return at.FullName;
        throw new DirectoryNotFoundException($"No Baton.slnx above {AppContext.BaseDirectory}: run the tests from a checkout.");
    }
}
