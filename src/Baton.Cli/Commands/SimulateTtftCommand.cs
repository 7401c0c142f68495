using System.CommandLine;
using System.Globalization;
using Baton.Core.Engine.Simulated;
using Baton.Simulation.Cluster;
using Baton.Simulation.Fitting;
using Baton.Simulation.Ttft;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate ttft</c>: the published table.</summary>
internal static class SimulateTtftCommand
{
    public static Command Create()
    {
        Option<string> steps = new("--steps") { Description = "How ranks step: independent, lockstep (attention DP), or both.", DefaultValueFactory = _ => "both" };
        Option<string> lengths = new("--lengths") { Description = "Prompt lengths: fixed (3,500), log-normal (mean 3,500), or both.", DefaultValueFactory = _ => "both" };
        Option<int> seeds = new("--arrival-seeds") { Description = "Runs to average over, each with other arrivals.", DefaultValueFactory = _ => 20 };
        Option<ulong> seed = new("--seed") { Description = "First of those seeds.", DefaultValueFactory = _ => 1 };
        Option<int> requests = new("--num-prompts") { Description = "Requests of one run.", DefaultValueFactory = _ => 200 };
        Option<int> ranks = new("--dp-size") { Description = "Prefill ranks.", DefaultValueFactory = _ => 4 };
        Option<int> scale = new("--token-scale") { Description = "Real tokens that one simulated token stands for.", DefaultValueFactory = _ => 50 };
        Option<string?> fit = new("--fit") { Description = "'published': first find the costs that best explain the published baseline, and use them." };
        Option<string?> engine = new("--cost-model") { Description = "Costs of an engine instead of those of the published hardware: terms as in serve --simulated-cost, or fitted:FILE." };
        Option<FileInfo?> json = new("--json") { Description = "Write the tables to this file." };
        Option<FileInfo?> html = new("--html") { Description = "Write a page with charts to this file." };
        steps.Among("independent", "lockstep", "both");
        lengths.Among("fixed", "log-normal", "both");
        fit.Among("published");
        engine.Validators.Add(result =>
        {
            if (result.GetResult(fit) is { Implicit: false }) result.AddError("--cost-model and --fit both give the costs: leave one out.");
        });
        foreach (Option<int> positive in new[] { seeds, requests, ranks, scale })
        {
            positive.Validators.Add(result =>
            {
                if (result.Tokens.Count > 0 && (!int.TryParse(result.Tokens[0].Value, out int value) || value < 1)) result.AddError($"{positive.Name} must be at least 1.");
            });
        }
        Command command = new("ttft", "Mean and p99 TTFT of every dispatch method, beside one central queue and SGLang's published figures.")
        {
            steps, lengths, seeds, seed, requests, ranks, scale, fit, engine, json, html,
        };
        command.SetAction(async (parsed, ct) =>
        {
            CostModel? cost = null;
            int wrong = SimulateRunCommand.Run(() => cost = parsed.GetValue(engine) is { } text ? CostModelText.Read(text) : null);
            if (wrong != ExitCodes.Success) return wrong;
            TtftSettings settings = new()
            {
                Engine = cost,
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
