using System.Text.Json;

namespace Baton.Simulation.Workloads;

/// <summary>Reads the Mooncake trace format: one JSON object a line with <c>timestamp</c> (ms), <c>input_length</c>, <c>output_length</c> and optional <c>hash_ids</c>.</summary>
public static class TraceFile
{
    private const double MaxMilliseconds = 3.2e11;

    /// <param name="slowdown">Stretches the trace's times; 0.5 is twice the rate.</param>
    /// <param name="limit">Requests to read at most.</param>
    /// <exception cref="FormatException">A line is not such an object, or there is none; the text names the line and the field.</exception>
    public static Workload Read(string name, TextReader lines, double slowdown = 1, int limit = int.MaxValue)
    {
        if (!(slowdown > 0) || double.IsInfinity(slowdown)) throw new FormatException($"Trace slowdown {slowdown}: give a factor above 0.");
        List<WorkloadRequest> requests = [];
        TimeSpan last = TimeSpan.Zero;
        for (int number = 1; requests.Count < limit && lines.ReadLine() is { } line; number++)
        {
            if (string.IsNullOrWhiteSpace(line)) continue;
            WorkloadRequest request = Parse(name, line, number, requests.Count);
            if (request.ArrivesAt < last) throw new FormatException($"{name} line {number}: timestamp goes back; sort the trace by timestamp.");
            last = request.ArrivesAt;
            requests.Add(request with { ArrivesAt = TimeSpan.FromMicroseconds(Math.Round(request.ArrivesAt.TotalMicroseconds * slowdown)) });
        }
        if (requests.Count == 0) throw new FormatException($"{name}: the trace has no request.");
        return new Workload($"trace {name}, {requests.Count} requests", requests);
    }

    private static WorkloadRequest Parse(string name, string line, int number, int index)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            double milliseconds = Field(root, "timestamp").GetDouble();
            int prompt = Field(root, "input_length").GetInt32(), output = Field(root, "output_length").GetInt32();
            if (milliseconds < 0 || prompt < 1 || output < 1) throw new FormatException("timestamp must be >= 0 and both lengths >= 1");
            if (milliseconds > MaxMilliseconds) throw new FormatException($"timestamp {milliseconds} is more than ten years; it counts milliseconds from the start of the trace");
            long[] blocks = root.TryGetProperty("hash_ids", out JsonElement ids) ? [.. ids.EnumerateArray().Select(id => id.GetInt64())] : [];
            return new WorkloadRequest(index, TimeSpan.FromMilliseconds(milliseconds), prompt, output, blocks);
        }
        catch (Exception problem) when (problem is JsonException or FormatException or InvalidOperationException)
        {
            throw new FormatException($"{name} line {number} is not a trace request: {problem.Message}", problem);
        }
    }

    private static JsonElement Field(JsonElement root, string name) =>
        root.ValueKind == JsonValueKind.Object && root.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"no {name}");
}
