using System.CommandLine;
using System.Globalization;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Swarm;
using Baton.Simulation.Ttft;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate</c>: the production schedulers in virtual time.</summary>
internal static class SimulateCommand
{
    public static Command Create()
    {
        Command command = new("simulate", "Run the production schedulers, dispatcher, resolver and hand-over in virtual time, without a GPU.");
        command.Subcommands.Add(Ttft());
        command.Subcommands.Add(Swarm());
        return command;
    }

    private static Command Ttft()
    {
        Option<string> steps = new("--steps") { Description = "How ranks step: independent, lockstep (attention DP), or both.", DefaultValueFactory = _ => "both" };
        Option<string> lengths = new("--lengths") { Description = "Prompt lengths: fixed (3,500), log-normal (mean 3,500), or both.", DefaultValueFactory = _ => "both" };
        Option<int> seeds = new("--arrival-seeds") { Description = "Runs to average over, each with other arrivals.", DefaultValueFactory = _ => 20 };
        Option<ulong> seed = new("--seed") { Description = "First of those seeds.", DefaultValueFactory = _ => 1 };
        Option<int> requests = new("--num-prompts") { Description = "Requests of one run.", DefaultValueFactory = _ => 200 };
        Option<int> ranks = new("--dp-size") { Description = "Prefill ranks.", DefaultValueFactory = _ => 4 };
        Option<int> scale = new("--token-scale") { Description = "Real tokens that one simulated token stands for.", DefaultValueFactory = _ => 50 };
        Option<string?> fit = new("--fit") { Description = "'published': first find the costs that best explain the published baseline, and use them." };
        Option<FileInfo?> json = new("--json") { Description = "Write the tables to this file." };
        Option<FileInfo?> html = new("--html") { Description = "Write a page with charts to this file." };
        steps.AcceptOnlyFromAmong("independent", "lockstep", "both");
        lengths.AcceptOnlyFromAmong("fixed", "log-normal", "both");
        fit.AcceptOnlyFromAmong("published");
        foreach (Option<int> positive in new[] { seeds, requests, ranks, scale })
        {
            positive.Validators.Add(result =>
            {
                if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, out int value) || value < 1)) result.AddError($"{positive.Name} must be at least 1.");
            });
        }
        Command command = new("ttft", "Mean and p99 TTFT of every dispatch method, beside one central queue and SGLang's published figures.")
        {
            steps, lengths, seeds, seed, requests, ranks, scale, fit, json, html,
        };
        command.SetAction(async (parsed, ct) =>
        {
            TtftSettings settings = new()
            {
                ArrivalSeeds = parsed.GetValue(seeds),
                Seed = parsed.GetValue(seed),
                Requests = parsed.GetValue(requests),
                Ranks = parsed.GetValue(ranks),
                TokenScale = parsed.GetValue(scale),
            };
            if (parsed.GetValue(fit) is not null) settings = settings with { Cost = Fit(settings, ct) };
            List<TtftTable> tables = [];
            foreach (StepModel model in StepsOf(parsed.GetValue(steps)!))
            {
                foreach (LengthDistribution length in LengthsOf(parsed.GetValue(lengths)!))
                {
                    TtftTable table = TtftExperiment.Run(settings with { Steps = model, Lengths = length }, ct);
                    await Console.Out.WriteLineAsync(TtftReport.Text(table));
                    tables.Add(table);
                }
            }
            if (parsed.GetValue(json) is { } jsonFile) await File.WriteAllTextAsync(jsonFile.FullName, TtftReport.Json(tables), ct);
            if (parsed.GetValue(html) is { } htmlFile) await File.WriteAllTextAsync(htmlFile.FullName, TtftReport.Html(tables), ct);
            return 0;
        });
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

    private static PrefillCost Fit(TtftSettings settings, CancellationToken ct)
    {
        Console.Out.WriteLine("prompts/step  s/prompt  s/step  rms ln error   baseline ms at each rate");
        IReadOnlyList<PublishedFit.Candidate> found = PublishedFit.Run(settings with { ArrivalSeeds = Math.Min(settings.ArrivalSeeds, 6) }, ct);
        foreach (PublishedFit.Candidate candidate in found)
        {
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{candidate.Cost.PromptsPerStep,12}  {candidate.Cost.SecondsPerPrompt,8:F3}  {candidate.Cost.SecondsPerStep,6:F3}  {candidate.Error,12:F4}   {string.Join(' ', candidate.BaselineMs.Select(ms => ms.ToString("F0", CultureInfo.InvariantCulture)))}"));
        }
        Console.Out.WriteLine($"published baseline: {string.Join(' ', PublishedRow.All.Select(row => row.BaselineMs.ToString("F0", CultureInfo.InvariantCulture)))}\n");
        return found[0].Cost;
    }

    private static StepModel[] StepsOf(string text) => text switch
    {
        "independent" => [StepModel.Independent],
        "lockstep" => [StepModel.Lockstep],
        _ => [StepModel.Lockstep, StepModel.Independent],
    };

    private static LengthDistribution[] LengthsOf(string text)
    {
        LengthDistribution fixedLength = new LengthDistribution.Fixed(TtftSettings.PromptTokens);
        LengthDistribution mixed = new LengthDistribution.LogNormal(TtftSettings.PromptTokens, 0.8, 30_000);
        return text switch
        {
            "fixed" => [fixedLength],
            "log-normal" => [mixed],
            _ => [fixedLength, mixed],
        };
    }
}
