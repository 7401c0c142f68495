using System.CommandLine;
using System.Globalization;
using Baton.Simulation.Capacity;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Figures;
using Baton.Simulation.Swarm;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate run</c>: one cluster under one workload.</summary>
internal static class SimulateRunCommand
{
    /// <summary>Virtual time after which a run is stopped.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromDays(7);

    public static Command Create(TimeProvider time)
    {
        SimulateWorkload workloads = new();
        SimulateDeployment deployments = new();
        SimulateGoals goals = new();
        Option<string> prefill = new("--prefill") { Description = "Prefill workers x ranks of each, as 2x4.", DefaultValueFactory = _ => "1x1" };
        Option<string> decode = new("--decode") { Description = "Decode workers x ranks of each.", DefaultValueFactory = _ => "1x1" };
        Option<ulong> seed = new("--seed") { Description = "Of arrivals, lengths, tokens and rooms.", DefaultValueFactory = _ => 1 };
        Option<FileInfo?> faults = new("--faults") { Description = "A fault script: docs/simulation.md has the grammar. Checks the swarm's invariants after every event; exit code 0 only when they hold." };
        Option<FileInfo?> trace = new("--event-log") { Description = "Write the event log, one line an event. Checks the invariants, too." };
        Command command = new("run", "One cluster under one workload, with faults from a script: latencies, utilisation, the trace hash, and how fast the simulation ran.") { prefill, decode, seed, faults, trace };
        foreach (Option option in workloads.All.Concat(deployments.All).Concat(goals.All)) command.Add(option);
        command.SetAction(parsed => RunOrFail(() =>
        {
            (int prefillWorkers, int prefillDp) = Sides(parsed.GetValue(prefill)!, "--prefill");
            (int decodeWorkers, int decodeDp) = Sides(parsed.GetValue(decode)!, "--decode");
            Workload workload = workloads.Draw(parsed, parsed.GetValue(seed));
            Deployment deployment = deployments.Read(parsed);
            Split split = new(prefillWorkers, prefillDp, decodeWorkers, decodeDp);
            long start = time.GetTimestamp();
            void Show(SimulatedCluster cluster) => Print(workload, ClusterFigures.Of([cluster], workload.Requests.Count, goals.Read(parsed)), time.GetElapsedTime(start));
            if (parsed.GetValue(faults) is null && parsed.GetValue(trace) is null)
            {
                Show(deployment.Run(split, workload, Limit, parsed.GetValue(seed)));
                return true;
            }
            return RunChecked(Plan(parsed.GetValue(faults), deployment.ToCluster(split), workload, parsed.GetValue(seed)), parsed.GetValue(trace), Show);
        }));
        return command;
    }

    private static SwarmPlan Plan(FileInfo? script, ClusterOptions cluster, Workload workload, ulong seed)
    {
        FaultTargets targets = new(cluster.PrefillWorkers, cluster.DecodeWorkers, workload.Requests.Count);
        IReadOnlyList<Fault> faults = script is null ? [] : FaultScript.Parse(File.ReadAllText(script.FullName), targets, script.Name);
        return new SwarmPlan(seed, cluster with { Network = cluster.Network with { CarriesBytes = true } }, workload, faults) { Limit = Limit };
    }

    private static bool RunChecked(SwarmPlan plan, FileInfo? trace, Action<SimulatedCluster> show)
    {
        using StreamWriter? writer = trace is null ? null : new StreamWriter(trace.FullName);
        SwarmOutcome outcome = SwarmRun.Run(plan, trace: writer, played: show);
        Console.Out.WriteLine(outcome.Violation is { } violation ? $"VIOLATION      {violation}" : $"invariants     held after each of {outcome.Events} events, those of the healed phase included");
        return outcome.Violation is null;
    }

    /// <summary>Runs a simulation whose input may be wrong.</summary>
    public static int Run(Action simulate) => RunOrFail(() =>
    {
        simulate();
        return true;
    });

    /// <param name="simulate">False: it ran, and something does not hold.</param>
    private static int RunOrFail(Func<bool> simulate)
    {
        try
        {
            return simulate() ? ExitCodes.Success : ExitCodes.Failed;
        }
        catch (Exception wrong) when (wrong is FormatException or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(wrong.Message);
            return ExitCodes.BadArguments;
        }
    }

    private static (int Workers, int DpSize) Sides(string text, string option)
    {
        string[] parts = text.Split('x');
        if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int workers) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int ranks)
            && workers is >= 1 and <= 4096 && ranks is >= 1 and <= 4096)
        {
            return (workers, ranks);
        }
        throw new FormatException($"{option} {text}: give workers x ranks of each, as 2x4, with 1 to 4096 of both.");
    }

    private static void Print(Workload workload, ClusterFigures figures, TimeSpan wall)
    {
        TextWriter to = Console.Out;
        to.WriteLine(workload.Description);
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"requests       {figures.Requests}: {figures.Succeeded} succeeded, {figures.WithinGoals} within the goals, {figures.Unfinished} unfinished"));
        foreach ((object reason, int count) in figures.Failures.OrderByDescending(failure => failure.Value).Select(failure => ((object)failure.Key, failure.Value))) to.WriteLine($"failed         {count} {reason}");
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"TTFT ms        mean {figures.MeanTtftMs:F1}, p50 {figures.P50TtftMs:F1}, p99 {figures.P99TtftMs:F1}"));
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ITL ms         p50 {figures.P50ItlMs:F1}, p99 {figures.P99ItlMs:F1}"));
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"utilisation    prefill {figures.PrefillUtilisation:P1}, decode {figures.DecodeUtilisation:P1}"));
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"virtual time   {figures.Span.TotalSeconds:F3} s, {figures.OutputTokens} output tokens, {figures.Events} events"));
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"wall time      {wall.TotalSeconds:F3} s: {figures.Span / wall:F2} virtual seconds a second"));
        to.WriteLine($"trace hash     {figures.TraceHash}");
    }
}
