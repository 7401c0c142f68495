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
    public void No_command_has_two_flags_of_one_name(string name) =>
        Assert.All(WithSubcommands(BatonCommands.All().Single(one => one.Name == name)), command =>
        {
            IEnumerable<string> names = command.Options.SelectMany(option => option.Aliases.Prepend(option.Name));
            Assert.Empty(names.GroupBy(flag => flag, StringComparer.Ordinal).Where(same => same.Count() > 1).Select(same => $"{command.Name} {same.Key}"));
        });

    private static IEnumerable<Command> WithSubcommands(Command command) => command.Subcommands.SelectMany(WithSubcommands).Prepend(command);

    [Theory]
    [MemberData(nameof(CommandNames))]
    public void The_readme_lists_every_command(string name)
    {
        string readme = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "README.md"));

        Assert.Contains($"| `baton {name}` |", readme, StringComparison.Ordinal);
    }
}
