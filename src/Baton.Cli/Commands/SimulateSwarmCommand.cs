using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Baton.Simulation.Faults;
using Baton.Simulation.Swarm;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate swarm</c>: random clusters, traffic and faults, checked after every event.</summary>
internal sealed class SimulateSwarmCommand
{
    private const int BatchSeeds = 1000;
    private readonly Option<string> _seeds = new("--seeds") { Description = "First and last seed, as 1..2000.", DefaultValueFactory = _ => "1..2000" };
    private readonly Option<string?> _for = new("--for") { Description = "Instead of --seeds: seeds from the clock, for so long, as 8h. For the night." };
    private readonly Option<string?> _replay = new("--replay") { Description = "Instead of --seeds: stored plans, a file or a folder of .json files." };
    private readonly Option<string?> _plant = new("--plant") { Description = "Plant a bug that the swarm has to find; 'list' them; or 'all', one after the other: exit code 0 when each is found. A check of the checker." };
    private readonly Option<FileInfo?> _faults = new("--faults") { Description = "A fault script that takes the place of the drawn schedule." };
    private readonly Option<FileInfo?> _trace = new("--trace", "--event-log") { Description = "Write the event log of the first bad run, or of the only one." };
    private readonly Option<FileInfo?> _script = new("--script") { Description = "Write the fault script of the first bad run, or of the only one." };
    private readonly Option<DirectoryInfo?> _save = new("--save") { Description = "Store the plan of each bad run in this folder, for --replay." };
    private readonly TimeProvider _time;
    private long _runs;
    private long _requests;
    private long _succeeded;
    private long _events;
    private int _bad;

    private SimulateSwarmCommand(TimeProvider time) => _time = time;

    /// <param name="time">For <c>--for</c>, and the date of stored plans.</param>
    public static Command Create(TimeProvider time)
    {
        SimulateSwarmCommand made = new(time);
        made._seeds.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && !TryReadRange(result.Tokens[0].Value, out _)) result.AddError("--seeds must be first..last with 0 <= first <= last and at most 1,000,000 seeds, as 1..2000.");
        });
        made._for.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && (!FaultTime.TryParse(result.Tokens[0].Value, out TimeSpan time) || time <= TimeSpan.Zero)) result.AddError("--for must be a duration with us, ms, s, m or h, as 8h.");
        });
        made._plant.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.Tokens[0].Value is not ("list" or "all") && Plants.Find(result.Tokens[0].Value) is null) result.AddError($"--plant must be one of: list, all, {string.Join(", ", Plants.All.Select(p => p.Name))}.");
        });
        Command command = new("swarm", "Random clusters, traffic and faults, with invariants checked after every event. Exit code 0 only when none was violated.")
        {
            made._seeds, made._for, made._replay, made._plant, made._faults, made._trace, made._script, made._save,
        };
        command.Validators.Add(result =>
        {
            int sources = new Option[] { made._seeds, made._for, made._replay }.Count(option => result.GetResult(option) is { Implicit: false });
            if (sources > 1) result.AddError("--seeds, --for and --replay exclude each other.");
        });
        command.SetAction((parsed, ct) => Task.FromResult(new SimulateSwarmCommand(time).Run(parsed, made, ct)));
        return command;
    }

    private int Run(ParseResult parsed, SimulateSwarmCommand options, CancellationToken ct)
    {
        string? plantName = parsed.GetValue(options._plant);
        if (plantName == "list")
        {
            foreach (Plant plant in Plants.All) Console.Out.WriteLine($"{plant.Name,-24} {plant.Description}");
            return ExitCodes.Success;
        }
        if (plantName == "all") return RunPlants(parsed.GetValue(options._seeds)!, ct);
        Job job = new(parsed, options, plantName);
        try
        {
            if (parsed.GetValue(options._replay) is { } stored) Replay(stored, job, ct);
            else if (parsed.GetValue(options._for) is { } text) RunFor(text, job, ct);
            else RunRange(parsed.GetValue(options._seeds)!, job, ct);
        }
        catch (Exception wrong) when (wrong is FaultScriptException or JsonException or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(wrong.Message);
            return ExitCodes.BadArguments;
        }
        Console.Out.WriteLine($"{_runs} runs, {_requests} requests ({_succeeded} succeeded, the others ended with a reason), {_events} events, {_bad} violations");
        return _bad == 0 ? ExitCodes.Success : ExitCodes.Failed;
    }

    private static int RunPlants(string seeds, CancellationToken ct)
    {
        TryReadRange(seeds, out (ulong First, ulong Last) range);
        int missed = 0;
        foreach (Plant plant in Plants.All)
        {
            SwarmOutcome? found = SwarmSweep.Run(range.First, range.Last, plant, stopAtViolation: true, ct).FirstOrDefault(outcome => outcome.Violation is not null);
            if (found is null) missed++;
            Console.Out.WriteLine($"{plant.Name,-24} {(found is null ? "NOT FOUND" : $"found by seed {found.Seed}: {found.Violation!.Split('\n')[0]}")}");
        }
        Console.Out.WriteLine($"{Plants.All.Count} planted bugs, {missed} not found in seeds {seeds}");
        return missed == 0 ? ExitCodes.Success : ExitCodes.Failed;
    }

    /// <summary>What the command line says beside which plans to run.</summary>
    private sealed class Job(ParseResult parsed, SimulateSwarmCommand options, string? plantName)
    {
        public Plant Plant { get; } = plantName is null ? Plant.None : Plants.Find(plantName)!.Value;
        public string Suffix { get; } = (plantName is null ? "" : $" --plant {plantName}") + (parsed.GetValue(options._faults) is { } file ? $" --faults {file}" : "");
        public FileInfo? Faults { get; } = parsed.GetValue(options._faults);
        public FileInfo? Trace { get; } = parsed.GetValue(options._trace);
        public FileInfo? Script { get; } = parsed.GetValue(options._script);
        public DirectoryInfo? Save { get; } = parsed.GetValue(options._save);
        /// <summary>Trace and script are written once.</summary>
        public bool IsShown { get; set; }
        private readonly string? _text = parsed.GetValue(options._faults) is { } file ? File.ReadAllText(file.FullName) : null;

        public SwarmPlan Change(SwarmPlan plan)
        {
            if (_text is null) return plan;
            FaultTargets targets = new(plan.Cluster.PrefillWorkers, plan.Cluster.DecodeWorkers, plan.Workload.Requests.Count);
            IReadOnlyList<Fault> faults = FaultScript.Parse(_text, targets, Faults!.Name);
            return plan with { Faults = faults, IsCalm = plan.IsCalm && faults.Count == 0 };
        }
    }

    private void RunRange(string seeds, Job job, CancellationToken ct)
    {
        TryReadRange(seeds, out (ulong First, ulong Last) range);
        SwarmPlan Draw(int i) => job.Change(SwarmPlan.Draw(range.First + (ulong)i));
        int count = (int)(range.Last - range.First + 1);
        if (count == 1) Show(Draw(0), job);
        Take(SwarmSweep.Run(count, Draw, job.Plant, stopAtViolation: job.Plant != Plant.None, ct), outcome => job.Change(SwarmPlan.Draw(outcome.Seed)), job);
    }

    private void RunFor(string text, Job job, CancellationToken ct)
    {
        if (!FaultTime.TryParse(text, out TimeSpan length)) return; // the validator has said so
        long start = _time.GetTimestamp();
        ulong first = (ulong)_time.GetUtcNow().ToUnixTimeSeconds() * 1_000_000;
        Console.Out.WriteLine($"seeds from {first}, for {text}");
        for (; _time.GetElapsedTime(start) < length && !ct.IsCancellationRequested; first += BatchSeeds)
        {
            ulong from = first;
            Take(SwarmSweep.Run(BatchSeeds, i => job.Change(SwarmPlan.Draw(from + (ulong)i)), job.Plant, ct: ct), outcome => job.Change(SwarmPlan.Draw(outcome.Seed)), job);
        }
    }

    private void Replay(string path, Job job, CancellationToken ct)
    {
        string[] files = Directory.Exists(path) ? [.. Directory.EnumerateFiles(path, "*.json").Order(StringComparer.Ordinal)] : [path];
        foreach (string file in files)
        {
            ct.ThrowIfCancellationRequested();
            StoredPlan stored = ReadPlan(file);
            SwarmPlan plan = job.Change(stored.ToPlan());
            if (files.Length == 1) Show(plan, job);
            Console.Out.WriteLine($"{Path.GetFileName(file)}: {stored.Date}, {stored.Found}");
            Take([SwarmRun.Run(plan, job.Plant)], _ => plan, job, $"--replay {file}");
        }
    }

    private static StoredPlan ReadPlan(string file)
    {
        try
        {
            return StoredPlan.FromJson(File.ReadAllText(file));
        }
        catch (JsonException wrong)
        {
            throw new JsonException($"{file} is no stored plan: {wrong.Message}", wrong);
        }
    }

    private void Take(IReadOnlyList<SwarmOutcome> outcomes, Func<SwarmOutcome, SwarmPlan> planOf, Job job, string? replay = null)
    {
        foreach (SwarmOutcome outcome in outcomes)
        {
            (_runs, _requests, _succeeded, _events) = (_runs + 1, _requests + outcome.Requests, _succeeded + outcome.Succeeded, _events + outcome.Events);
            if (outcome.Violation is not { } violation) continue;
            _bad++;
            Console.Out.WriteLine($"seed {outcome.Seed}: {violation}\n  replay: baton simulate swarm {replay ?? $"--seeds {outcome.Seed}..{outcome.Seed}"}{job.Suffix}");
            SwarmPlan plan = planOf(outcome);
            Write(plan, job);
            if (job.Save is { } folder) Store(plan, violation, folder);
        }
    }

    /// <summary>Everything about the only run.</summary>
    private static void Show(SwarmPlan plan, Job job)
    {
        Console.Out.WriteLine($"{plan.Workload.Description}\n{plan.Cluster}");
        Console.Out.Write(FaultScript.Write(plan.Faults));
        Write(plan, job);
        Console.Out.WriteLine($"trace hash {SwarmRun.Run(plan, job.Plant).TraceHash}");
    }

    private static void Write(SwarmPlan plan, Job job)
    {
        if (job.IsShown) return;
        job.IsShown = true;
        if (job.Script is { } script) File.WriteAllText(script.FullName, FaultScript.Write(plan.Faults));
        if (job.Trace is not { } trace) return;
        using StreamWriter writer = new(trace.FullName);
        SwarmRun.Run(plan, job.Plant, writer);
    }

    private void Store(SwarmPlan plan, string violation, DirectoryInfo folder)
    {
        folder.Create();
        string date = _time.GetUtcNow().ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        string path = Path.Combine(folder.FullName, $"{plan.Seed}.json");
        File.WriteAllText(path, StoredPlan.Of(plan, date, violation.Split('\n')[0]).ToJson());
        Console.Out.WriteLine($"  stored: {path}");
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
