using System.CommandLine;
using Baton.Cli.Commands;
using Baton.Testing;

namespace Baton.Cli.Tests.Commands;

public sealed class HelpTests
{
    public static TheoryData<string> CommandNames => [.. BatonCommands.All().Select(command => command.Name)];

    [Theory]
    [MemberData(nameof(CommandNames))]
    public void Every_flag_and_argument_says_what_it_is_for(string name)
    {
        Command command = BatonCommands.All().Single(one => one.Name == name);

        IEnumerable<Symbol> symbols = [command, .. command.Options.Where(option => !option.Hidden), .. command.Arguments];

        Assert.All(symbols, symbol => Assert.False(string.IsNullOrWhiteSpace(symbol.Description), $"{name} {symbol.Name} has no description."));
    }

    [Theory]
    [MemberData(nameof(CommandNames))]
    public void The_readme_lists_every_command(string name)
    {
        string readme = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "README.md"));

        Assert.Contains($"| `baton {name}` |", readme, StringComparison.Ordinal);
    }
}
