using System.CommandLine;
using Baton.Simulation.Capacity;
using Baton.Simulation.Figures;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate capacity</c>: how many ranks a workload needs, and how they are best split.</summary>
internal static class SimulateCapacityCommand
{
    /// <summary>Splits beside the found one that are simulated for the picture, and twice the totals.</summary>
    public const int CurveWidth = 4;

    public static Command Create()
    {
        SimulateWorkload workloads = new();
        SimulateDeployment deployments = new();
        SimulateGoals goals = new();
        Option<int?> ranks = new("--ranks") { Description = "Try every split of exactly so many ranks." };
        Option<int?> maxRanks = new("--max-ranks") { Description = "Find the smallest cluster of at most so many ranks. Default: 32." };
        Option<int> maxDp = new("--max-dp-size") { Description = "Ranks of one worker at most; more ranks make more workers of equal size.", DefaultValueFactory = _ => 8 };
        Option<int> seeds = new("--arrival-seeds") { Description = "Runs of each cluster, with other arrivals each; attainment is over all.", DefaultValueFactory = _ => 1 };
        Option<ulong> seed = new("--seed") { Description = "First of those seeds.", DefaultValueFactory = _ => 1 };
        Option<FileInfo?> json = new("--json") { Description = "Write everything that was tried to this file." };
        Option<FileInfo?> html = new("--html") { Description = "Write a page with the curves to this file." };
        foreach (Option option in new Option[] { ranks, maxRanks, maxDp, seeds }) option.Validators.Add(OptionText.AtLeastOne);
        Command command = new("capacity", "Find the smallest prefill:decode split and dp sizes that hold latency goals under a workload.") { ranks, maxRanks, maxDp, seeds, seed, json, html };
        foreach (Option option in workloads.All.Concat(deployments.All).Concat(goals.All)) command.Add(option);
        command.SetAction((parsed, ct) => Task.FromResult(SimulateRunCommand.Run(() =>
        {
            ServiceGoals promised = goals.Read(parsed);
            if (promised.Ttft is null && promised.Itl is null) throw new FormatException("Give --slo-ttft, --slo-itl or both: without a goal every cluster holds.");
            if (parsed.GetValue(ranks) is not null && parsed.GetValue(maxRanks) is not null) throw new FormatException("Give --ranks or --max-ranks, not both.");
            int total = parsed.GetValue(ranks) ?? parsed.GetValue(maxRanks) ?? 32;
            if (total < 2) throw new FormatException("A cluster has at least two ranks: one that prefills and one that decodes.");
            // A trace has one set of arrivals: other seeds change tokens and rooms only.
            Workload[] drawn = [.. Enumerable.Range(0, parsed.GetValue(seeds)).Select(i => workloads.Draw(parsed, parsed.GetValue(seed) + (ulong)i))];
            CapacityQuestion question = new()
            {
                Deployment = deployments.Read(parsed),
                Workloads = drawn,
                Goals = promised,
                MaxRanks = total,
                MaxDpSize = parsed.GetValue(maxDp),
                Seed = parsed.GetValue(seed),
                Limit = CapacityQuestion.LimitOf(drawn, promised),
            };
            Search(question, isFixedTotal: parsed.GetValue(ranks) is not null, parsed.GetValue(json), parsed.GetValue(html), ct);
        })));
        return command;
    }

    private static void Search(CapacityQuestion question, bool isFixedTotal, FileInfo? json, FileInfo? html, CancellationToken ct)
    {
        Console.Out.WriteLine($"{question.Workloads[0].Description}{(question.Workloads.Count > 1 ? $", and {question.Workloads.Count - 1} more seeds" : "")}\n{question.Deployment}\n\n{CapacityReport.Header}");
        CapacitySearch search = new(question, trial => Console.Out.WriteLine(CapacityReport.Row(trial)));
        CapacityTrial? found = isFixedTotal ? search.TryAllSplits(question.MaxRanks, ct) : search.FindSmallest(ct);
        string verdict = CapacityReport.Verdict(question, found, isFixedTotal);
        Console.Out.WriteLine($"\n{verdict}\n{search.Trials.Count} clusters tried.");
        if (!isFixedTotal) Console.Out.WriteLine("Taken for granted: more ranks on one side never make it worse. Smaller totals than the answer that are not listed follow from that.");
        foreach ((CapacityTrial smaller, CapacityTrial larger) in search.Contradictions.Take(3))
        {
            Console.Out.WriteLine($"Not so here: {smaller.Split} held and {larger.Split} missed ({100 * larger.Figures.Attainment:F2} %). Near the goal, more --arrival-seeds tell luck from need.");
        }
        if (html is not null)
        {
            if (found is not null && !isFixedTotal)
            {
                Console.Out.WriteLine("\nfor the curve:");
                search.TryAround(found.Split, CurveWidth, ct);
            }
            File.WriteAllText(html.FullName, SimulateCapacityPage.Write(question, search, found, verdict));
        }
        if (json is not null) File.WriteAllText(json.FullName, CapacityReport.Json(question, search, found));
    }
}
