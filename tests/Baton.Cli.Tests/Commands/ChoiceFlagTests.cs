using System.CommandLine;
using Baton.Cli.Commands;

namespace Baton.Cli.Tests.Commands;

/// <summary>Flags that take one of some words.</summary>
public sealed class ChoiceFlagTests
{
    private static RootCommand Root()
    {
        RootCommand root = new("baton");
        foreach (Command command in BatonCommands.All()) root.Add(command);
        return root;
    }

    private static string Refusal(string line) => Assert.Single(Root().Parse(line).Errors.Select(error => error.Message).Distinct());

    [Theory]
    [InlineData("router --room-mode nonsense", "--room-mode is 'nonsense': give aligned or random.")]
    [InlineData("router --verify-dp-rank Warn", "--verify-dp-rank is 'Warn': give warn, off or fail.")]
    [InlineData("router --prefill-policy nonsense", "--prefill-policy is 'nonsense': give least_load, random, ")]
    [InlineData("serve --disaggregation-mode nonsense", "--disaggregation-mode is 'nonsense': give null, prefill or decode.")]
    [InlineData("bench --backend nonsense", "--backend is 'nonsense': give sglang, sglang-native, ")]
    [InlineData("bench sweep --dataset-name nonsense", "--dataset-name is 'nonsense': give random, random-ids, ")]
    [InlineData("simulate ttft --fit nonsense", "--fit is 'nonsense': give published.")]
    [InlineData("simulate run --arrivals nonsense", "--arrivals is 'nonsense': give poisson, constant, burst or closed-loop.")]
    public void A_word_that_is_not_among_them_is_refused_with_the_flag_and_the_words(string line, string message) =>
        Assert.StartsWith(message, Refusal(line), StringComparison.Ordinal);

    public static TheoryData<string> Levels => ["router", "serve", "bootstrap"];

    [Theory]
    [MemberData(nameof(Levels))]
    public void A_log_level_is_refused_alike_by_every_command_and_info_and_warn_are_understood(string command)
    {
        Assert.Equal("--log-level is 'loud': give trace, debug, information, warning, error, critical or none (info and warn are understood).", Refusal($"{command} --log-level loud"));
        Assert.Empty(Root().Parse($"{command} --log-level info").Errors);
        Assert.Empty(Root().Parse($"{command} --log-level WARN").Errors);
    }

    [Fact]
    public void No_flag_that_offers_words_takes_another_one()
    {
        (string Command, Option Option)[] choices = [.. Leaves(Root(), "").SelectMany(leaf => leaf.Command.Options.Where(o => !o.Hidden && Words(o).Length > 1).Select(o => (leaf.Path, o)))];

        Assert.True(choices.Length > 20, $"{choices.Length} flags offer words");
        Assert.All(choices, choice =>
        {
            string line = $"{choice.Command} {choice.Option.Name} nonsense";
            Assert.Contains(Root().Parse(line).Errors, error => error.Message.StartsWith($"{choice.Option.Name} is 'nonsense': give ", StringComparison.Ordinal));
        });
    }

    private static string[] Words(Option option) =>
        option.ValueType == typeof(bool) ? [] : [.. option.GetCompletions(System.CommandLine.Completions.CompletionContext.Empty).Select(item => item.Label)];

    private static IEnumerable<(string Path, Command Command)> Leaves(Command command, string path) =>
        command.Subcommands.SelectMany(sub => Leaves(sub, $"{path} {sub.Name}")).Prepend((path, command));
}
