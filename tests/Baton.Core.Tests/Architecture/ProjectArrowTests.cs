using System.Xml.Linq;
using Baton.Testing;

namespace Baton.Core.Tests.Architecture;

/// <summary>Draws the arrows of docs/architecture.md from the project files.</summary>
public sealed class ProjectArrowTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Core"] = [],
        ["Bootstrap"] = ["Core"],
        ["Transfer"] = ["Core"],
        ["Scheduling"] = ["Core"],
        ["LlamaCpp"] = ["Core"],
        ["Serving"] = ["Core", "Bootstrap", "Transfer", "Scheduling", "LlamaCpp"],
        ["Router"] = ["Core", "Bootstrap"],
        ["Simulation"] = ["Core", "Bootstrap", "Transfer", "Scheduling", "Router"],
        ["Bench"] = ["Core"],
        ["Cli"] = ["Core", "Bootstrap", "Transfer", "Scheduling", "LlamaCpp", "Serving", "Router", "Simulation", "Bench"],
    };

    [Fact]
    public void Projects_refer_only_to_the_projects_that_the_design_allows()
    {
        string src = Path.Combine(RepositoryRoot.Path, "src");

        Dictionary<string, string[]> found = Directory.GetFiles(src, "*.csproj", SearchOption.AllDirectories)
            .ToDictionary(file => Name(file), file => XDocument.Load(file).Descendants("ProjectReference").Select(r => Name(r.Attribute("Include")!.Value)).ToArray());

        Assert.Equal(Allowed.Keys.Order(), found.Keys.Order());
        Assert.All(found, project => Assert.Subset(Allowed[project.Key].ToHashSet(), project.Value.ToHashSet()));
    }

    private static string Name(string projectFile) => Path.GetFileNameWithoutExtension(projectFile.Replace('\\', '/'))["Baton.".Length..];
}
