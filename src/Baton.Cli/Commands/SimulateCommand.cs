using System.CommandLine;
using Baton.Simulation.Faults;
using Baton.Simulation.Swarm;

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
        command.Subcommands.Add(Swarm());
        return command;
    }

    private static Command Swarm()
    {
        Option<string> seeds = new("--seeds") { Description = "First and last seed, as 1..2000.", DefaultValueFactory = _ => "1..2000" };
        Option<string?> plant = new("--plant") { Description = "Plant a bug that the swarm has to find, or 'list' them. A check of the checker." };
        seeds.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && !TryReadRange(result.Tokens[0].Value, out _)) result.AddError("--seeds must be first..last with 0 <= first <= last and at most 1,000,000 seeds, as 1..2000.");
        });
        plant.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.Tokens[0].Value != "list" && Plants.Find(result.Tokens[0].Value) is null) result.AddError($"--plant must be one of: list, {string.Join(", ", Plants.All.Select(p => p.Name))}.");
        });
        Command command = new("swarm", "Random clusters, traffic and faults, with invariants checked after every event. Exit code 0 only when none was violated.") { seeds, plant };
        command.SetAction((parsed, ct) => Task.FromResult(RunSwarm(parsed.GetValue(seeds)!, parsed.GetValue(plant), ct)));
        return command;
    }

    private static int RunSwarm(string seeds, string? plantName, CancellationToken ct)
    {
        if (plantName == "list")
        {
            foreach (Plant plant in Plants.All) Console.Out.WriteLine(plant.Name);
            return 0;
        }
        TryReadRange(seeds, out (ulong First, ulong Last) range);
        Plant planted = plantName is null ? Plant.None : Plants.Find(plantName)!.Value;
        string suffix = plantName is null ? "" : $" --plant {plantName}";
        int bad = 0;
        long requests = 0, succeeded = 0, events = 0;
        foreach (SwarmOutcome outcome in SwarmSweep.Run(range.First, range.Last, planted, stopAtViolation: plantName is not null, ct))
        {
            (requests, succeeded, events) = (requests + outcome.Requests, succeeded + outcome.Succeeded, events + outcome.Events);
            if (range.First == range.Last) Describe(outcome);
            if (outcome.Violation is not { } violation) continue;
            bad++;
            Console.Out.WriteLine($"seed {outcome.Seed}: {violation}\n  replay: baton simulate swarm --seeds {outcome.Seed}..{outcome.Seed}{suffix}");
        }
        Console.Out.WriteLine($"{range.Last - range.First + 1} seeds, {requests} requests ({succeeded} succeeded, the others ended with a reason), {events} events, {bad} violations");
        return bad == 0 ? ExitCodes.Success : ExitCodes.Failed;
    }

    private static void Describe(SwarmOutcome outcome)
    {
        SwarmPlan plan = SwarmPlan.Draw(outcome.Seed);
        Console.Out.WriteLine($"{plan.Workload.Description}\n{plan.Cluster}");
        foreach (Fault fault in plan.Faults) Console.Out.WriteLine(fault);
        Console.Out.WriteLine($"trace hash {outcome.TraceHash}");
    }

    private static bool TryReadRange(string text, out (ulong First, ulong Last) range)
    {
        string[] ends = text.Split("..");
        range = default;
        if (ends.Length != 2 || !ulong.TryParse(ends[0], out ulong first) || !ulong.TryParse(ends[1], out ulong last)) return false;
        range = (first, last);
        return first <= last && last - first < 1_000_000;
    }
}
