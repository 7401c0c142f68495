using System.Text.Json;
using Baton.Router.Workers;

namespace Baton.Router.Control;

/// <summary><c>--workers-file</c>: a JSON array of worker registrations, or an object with that array under <c>workers</c>.</summary>
public static class WorkersFile
{
    /// <exception cref="FormatException">A registration is wrong; the text names its place.</exception>
    /// <exception cref="JsonException">Not JSON.</exception>
    /// <exception cref="IOException">Cannot be read.</exception>
    public static IEnumerable<WorkerSpec> Read(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
        JsonElement list = document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("workers", out JsonElement inner) ? inner : document.RootElement;
        if (list.ValueKind != JsonValueKind.Array) throw new FormatException($"{file} must hold a JSON array of workers, or an object with one under \"workers\".");
        List<WorkerSpec> specs = [];
        foreach (JsonElement element in list.EnumerateArray())
        {
            try
            {
                WorkerSpec spec = (element.Deserialize(RouterJson.Default.WorkerRegistration) ?? throw new FormatException("it is null.")).ToSpec();
                if (specs.Any(s => s.Url == spec.Url)) throw new FormatException($"{spec.Url} is there twice.");
                specs.Add(spec);
            }
            catch (FormatException e)
            {
                throw new FormatException($"{file}, worker {specs.Count}: {e.Message}", e);
            }
        }
        return specs;
    }

    internal static bool AreSame(WorkerSpec one, WorkerSpec other) =>
        one with { Models = [], Labels = other.Labels } == other with { Models = [] } && one.Models.SequenceEqual(other.Models)
        && one.Labels.Count == other.Labels.Count && one.Labels.All(l => other.Labels.TryGetValue(l.Key, out string? value) && value == l.Value);
}
