using System.Text.RegularExpressions;
using Baton.Testing;

namespace Baton.Cli.Tests.Documentation;

/// <summary>What the documents point at exists.</summary>
public sealed partial class DocumentTests
{
    public static TheoryData<string> Documents =>
    [
        "README.md",
        .. Directory.GetFiles(Path.Combine(RepositoryRoot.Path, "docs"), "*.md", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(RepositoryRoot.Path, file)),
    ];

    [Theory]
    [MemberData(nameof(Documents))]
    public void Every_relative_link_leads_somewhere(string document)
    {
        string path = Path.Combine(RepositoryRoot.Path, document);
        string folder = Path.GetDirectoryName(path)!;

        string[] targets = [.. Link().Matches(File.ReadAllText(path)).Select(match => match.Groups["target"].Value).Where(target => !target.Contains("://", StringComparison.Ordinal))];

        Assert.All(targets, target => Assert.True(Path.Exists(Path.Combine(folder, target)), $"{document} links to {target}, which does not exist."));
    }

    [Theory]
    [MemberData(nameof(Documents))]
    public void Every_source_file_that_is_named_exists(string document)
    {
        string text = File.ReadAllText(Path.Combine(RepositoryRoot.Path, document));

        string[] named = [.. SourcePath().Matches(text).Select(match => match.Groups["path"].Value)];

        Assert.All(named, path => Assert.True(Path.Exists(Path.Combine(RepositoryRoot.Path, path)), $"{document} names {path}, which does not exist."));
    }

    [GeneratedRegex(@"\]\((?<target>[^)#\s]+)(#[^)]*)?\)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Link();

    [GeneratedRegex(@"`(?<path>(src|tests|bench|samples|models|native|docs)/[^`\s]+)`", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex SourcePath();
}
