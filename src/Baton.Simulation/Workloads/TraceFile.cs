using System.Text.Json;

namespace Baton.Simulation.Workloads;

/// <summary>Reads the Mooncake trace format: one JSON object a line with <c>timestamp</c> (ms), <c>input_length</c>, <c>output_length</c> and optional <c>hash_ids</c>.</summary>
public static class TraceFile
{
    /// <exception cref="FormatException">A line is not such an object; the text names the line and the field.</exception>
    public static Workload Read(string name, TextReader lines)
    {
        List<WorkloadRequest> requests = [];
        TimeSpan last = TimeSpan.Zero;
        for (int number = 1; lines.ReadLine() is { } line; number++)
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            WorkloadRequest request = Parse(line, number, requests.Count);
            if (request.ArrivesAt < last) throw new FormatException($"{name} line {number}: timestamp goes back; sort the trace by timestamp.");
            last = request.ArrivesAt;
            requests.Add(request);
        }
        return new Workload($"trace {name}, {requests.Count} requests", requests);
    }

    private static WorkloadRequest Parse(string line, int number, int index)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            double milliseconds = Field(root, "timestamp").GetDouble();
            int prompt = Field(root, "input_length").GetInt32(), output = Field(root, "output_length").GetInt32();
            if (milliseconds < 0 || prompt < 1 || output < 1) throw new FormatException("timestamp must be >= 0 and both lengths >= 1");
            int[] blocks = root.TryGetProperty("hash_ids", out JsonElement ids) ? [.. ids.EnumerateArray().Select(id => id.GetInt32())] : [];
            return new WorkloadRequest(index, TimeSpan.FromMilliseconds(milliseconds), prompt, output, blocks);
        }
        catch (Exception problem) when (problem is JsonException or FormatException or InvalidOperationException)
        {
            throw new FormatException($"line {number} is not a trace request: {problem.Message}", problem);
        }
    }

    private static JsonElement Field(JsonElement root, string name) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"no {name}");
}
