using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Baton.Cli;
using Baton.Cli.Commands;
using Baton.Cli.Supervision;

// One file a command in Commands/; this list is the order of `baton --help`.
RootCommand root = new("Baton: large language models served with prefill and decode on separate, data-parallel workers.");
Option<bool> exitWithParent = new("--exit-with-parent") { Hidden = true, Recursive = true, Description = "Stop when standard input ends." };
root.Add(exitWithParent);
foreach (Command command in BatonCommands.All()) root.Add(command);

ParseResult parsed = root.Parse(args);
if (parsed.Action is ParseErrorAction)
{
    foreach (ParseError error in parsed.Errors) await Console.Error.WriteLineAsync(error.Message);
    await Console.Error.WriteLineAsync($"See: {Written(parsed.CommandResult)} --help");
    return ExitCodes.BadArguments;
}

using CancellationTokenSource stop = new();
if (parsed.GetValue(exitWithParent)) ParentWatch.Start(stop, GraceOf(parsed), ProductionClock.Time);

// After a signal every command has a deadline of its own for what it still does; this one only ends a process that forgot it.
InvocationConfiguration configuration = new() { ProcessTerminationTimeout = TimeSpan.FromMinutes(5) };
return await parsed.InvokeAsync(configuration, stop.Token);

static string Written(CommandResult command) => command.Parent is CommandResult parent ? $"{Written(parent)} {command.Command.Name}" : "baton";

// What `serve` and `router` give their running requests: a supervised one must get as much as it was told.
static TimeSpan GraceOf(ParseResult parsed) =>
    TimeSpan.FromSeconds(Seconds(parsed, "--drain-timeout") + Seconds(parsed, "--drain-settle-secs") + Seconds(parsed, "--shutdown-grace-period-secs"));

static double Seconds(ParseResult parsed, string name) =>
    parsed.CommandResult.Command.Options.FirstOrDefault(option => option.Name == name) is Option<double> option ? parsed.GetValue(option) : 0;
