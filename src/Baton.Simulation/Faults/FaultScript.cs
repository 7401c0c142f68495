namespace Baton.Simulation.Faults;

/// <summary>What a script may name: workers and requests of the run that it is for.</summary>
public readonly record struct FaultTargets(int PrefillWorkers, int DecodeWorkers, int Requests);

/// <summary>A schedule of faults as text, one a line; <c>#</c> begins a comment. The grammar is in docs/simulation.md.</summary>
public static class FaultScript
{
    /// <param name="name">Of the file, for messages.</param>
    /// <exception cref="FaultScriptException">Lines that make no sense or name what is not there: all of them, with their numbers.</exception>
    public static IReadOnlyList<Fault> Parse(string text, FaultTargets targets, string name = "faults")
    {
        List<(int Line, Fault Fault)> faults = [];
        List<string> errors = [];
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            string[] words = line.Split('#')[0].Split((char[])[' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) continue;
            try
            {
                faults.Add((number, new FaultLine(words, targets).Read()));
            }
            catch (FaultScriptException wrong)
            {
                errors.Add($"{name}:{number}: {wrong.Message}");
            }
        }
        CheckLives(faults, name, errors);
        return errors.Count == 0 ? [.. faults.Select(fault => fault.Fault)] : throw new FaultScriptException(string.Join('\n', errors));
    }

    /// <summary>The script that <see cref="Parse"/> reads back.</summary>
    public static string Write(IEnumerable<Fault> faults) => string.Concat(faults.Select(fault => $"{fault}\n"));

    /// <summary>A worker dies before it comes back, and not twice.</summary>
    private static void CheckLives(List<(int Line, Fault Fault)> faults, string name, List<string> errors)
    {
        HashSet<FaultWorker> dead = [];
        foreach ((int line, Fault fault) in faults.OrderBy(fault => fault.Fault.Begins))
        {
            if (fault is Fault.Kill kill && !dead.Add(kill.Worker)) errors.Add($"{name}:{line}: {kill.Worker} is dead already at {FaultTime.Text(kill.At)}. Restart it before.");
            if (fault is Fault.Restart back && !dead.Remove(back.Worker)) errors.Add($"{name}:{line}: {back.Worker} is not dead at {FaultTime.Text(back.At)}. Kill it before.");
        }
    }
}
