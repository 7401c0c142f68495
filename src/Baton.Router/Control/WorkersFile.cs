using System.Text.Json;
using Baton.Router.Workers;

namespace Baton.Router.Control;

/// <summary><c>--workers-file</c>: a list of worker registrations, or an object with that list under <c>workers</c>, as JSON or YAML.</summary>
public static class WorkersFile
{
    /// <summary>One element of the list as JSON, and where it and its fields stand in the file.</summary>
    /// <param name="Line">1-based.</param>
    internal sealed record Entry(byte[] Json, int Line, IReadOnlyDictionary<string, int> FieldLines);

    /// <param name="file">YAML when it ends in <c>.yaml</c> or <c>.yml</c>, otherwise JSON.</param>
    /// <exception cref="FormatException">It cannot be read, or is wrong: the text names file, line and field.</exception>
    public static IReadOnlyList<WorkerSpec> Read(string file)
    {
        byte[] bytes = Bytes(file);
        bool isYaml = Path.GetExtension(file).ToLowerInvariant() is ".yaml" or ".yml";
        List<WorkerSpec> specs = [];
        foreach (Entry entry in isYaml ? WorkersYaml.Read(file, bytes) : WorkersJson.Read(file, bytes))
        {
            WorkerSpec spec = ToSpec(file, entry);
            if (specs.Any(s => s.Url == spec.Url)) throw new FormatException($"{file}, line {LineOf(entry, "url")}: url {spec.Url} is there twice.");
            specs.Add(spec);
        }
        return specs;
    }

    private static byte[] Bytes(string file)
    {
        try
        {
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"--workers-file '{file}': {e.Message}", e);
        }
    }

    internal static FormatException NoList(string file, int line) =>
        new($"{file}, line {line}: there must be a list of workers, or an object with one under \"workers\".");

    private static WorkerSpec ToSpec(string file, Entry entry)
    {
        try
        {
            return (JsonSerializer.Deserialize(entry.Json, RouterJson.Default.WorkerRegistration) ?? throw new FormatException("it is null.")).ToSpec();
        }
        catch (FormatException e)
        {
            string? field = entry.FieldLines.Keys.FirstOrDefault(name => e.Message.StartsWith(name, StringComparison.Ordinal));
            throw new FormatException($"{file}, line {LineOf(entry, field)}: {e.Message}", e);
        }
        catch (JsonException e)
        {
            // Its text names types of ours; the path is what the user wrote.
            string field = e.Path is { Length: > 2 } path ? path[2..] : "the worker";
            throw new FormatException($"{file}, line {LineOf(entry, field.Split('.', '[')[0])}: {field} is not of the kind that belongs there.", e);
        }
    }

    private static int LineOf(Entry entry, string? field) => field is not null && entry.FieldLines.TryGetValue(field, out int line) ? line : entry.Line;

    internal static bool AreSame(WorkerSpec one, WorkerSpec other) =>
        one with { Models = [], Labels = other.Labels } == other with { Models = [] } && one.Models.SequenceEqual(other.Models)
        && one.Labels.Count == other.Labels.Count && one.Labels.All(l => other.Labels.TryGetValue(l.Key, out string? value) && value == l.Value);
}
