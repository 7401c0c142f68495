using System.Collections;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Baton.Benchmarks;

/// <summary>Writes a measurement to <c>bench/results/NAME.json</c> with the command and the machine, so that a change is a diff.</summary>
public static class ResultFile
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    public static void Write(string name, string command, object figures)
    {
        string path = Path.Combine(FindResults(), name + ".json");
        object document = new
        {
            command = string.Concat(RuntimeSettings()) + command,
            machine = new { cores = Environment.ProcessorCount, os = Environment.OSVersion.ToString(), dotnet = Environment.Version.ToString() },
            figures,
        };
        File.WriteAllText(path, JsonSerializer.Serialize(document, Indented) + "\n");
        Console.WriteLine($"written: {path}");
    }

    /// <summary>What an earlier run wrote under this name; null when there is none.</summary>
    public static JsonElement? Read(string name)
    {
        string path = Path.Combine(FindResults(), name + ".json");
        return File.Exists(path) ? JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(path)) : null;
    }

    /// <summary>Variables that change how the runtime runs: without them the command repeats another measurement.</summary>
    private static IEnumerable<string> RuntimeSettings()
    {
        string[] prefixes = ["DOTNET_gc", "DOTNET_GC", "DOTNET_Tiered", "DOTNET_TC_", "DOTNET_ReadyToRun", "DOTNET_Enable", "DOTNET_PROCESSOR_COUNT", "DOTNET_ThreadPool"];
        return from DictionaryEntry variable in Environment.GetEnvironmentVariables()
               let name = (string)variable.Key
               where Array.Exists(prefixes, prefix => name.StartsWith(prefix, StringComparison.Ordinal))
               orderby name
               select $"{name}={variable.Value} ";
    }

    private static string FindResults()
    {
        for (DirectoryInfo? at = new(Environment.CurrentDirectory); at is not null; at = at.Parent)
        {
            string candidate = Path.Combine(at.FullName, "bench", "results");
            if (Directory.Exists(candidate)) return candidate;
        }
        return Environment.CurrentDirectory;
    }
}
