using System.CommandLine;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate</c>: the production schedulers in virtual time.</summary>
internal static class SimulateCommand
{
    public static Command Create(TimeProvider time)
    {
        Command command = new("simulate", "Run the production schedulers, dispatcher, resolver and hand-over in virtual time, without a GPU.");
        command.Subcommands.Add(SimulateTtftCommand.Create());
        command.Subcommands.Add(SimulateRunCommand.Create(time));
        command.Subcommands.Add(SimulateCapacityCommand.Create());
        command.Subcommands.Add(SimulateFitCommand.Create());
        command.Subcommands.Add(SimulateSwarmCommand.Create(time));
        return command;
    }
}
