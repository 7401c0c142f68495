using System.Text.Json.Nodes;
using Baton.Bench.Conformance;
using Baton.Cli.Commands;

namespace Baton.Cli.Tests.Commands;

/// <summary>Each bench command against a scripted server: what <c>--output-file</c> and <c>--html</c> leave behind.</summary>
public sealed class BenchFilesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("baton-bench-");

    private string OutputFile => Path.Combine(_folder.FullName, "out.jsonl");

    private string Html => Path.Combine(_folder.FullName, "out.html");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task A_run_appends_its_line_and_writes_its_page()
    {
        await using ScriptedWorker server = new(Generate);

        int exit = await RunAsync("--base-url", server.Url, "--num-prompts", "3");

        JsonNode line = JsonNode.Parse(Assert.Single(File.ReadAllLines(OutputFile)).Replace("Infinity", "0", StringComparison.Ordinal))!;
        Assert.Equal((0, 3, 6), (exit, (int)line["completed"]!, (int)line["total_output_tokens"]!));
        Assert.Contains("<svg", File.ReadAllText(Html), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sweep_appends_a_line_for_each_load_and_writes_one_page()
    {
        await using ScriptedWorker server = new(Generate);

        int exit = await RunAsync("sweep", "--concurrencies", "1,2", "--pause", "0", "--base-url", server.Url, "--num-prompts", "3");

        Assert.Equal(0, exit);
        Assert.Equal([1, 2], File.ReadLines(OutputFile).Select(line => (int)JsonNode.Parse(line.Replace("Infinity", "0", StringComparison.Ordinal))!["max_concurrency"]!));
        Assert.Contains("TTFT over load", File.ReadAllText(Html), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_comparison_appends_its_line_and_writes_its_page()
    {
        await using ScriptedWorker a = new(Generate), b = new(Generate);

        int exit = await RunAsync("compare", "--a", a.Url, "--b", b.Url, "--num-prompts", "4");

        JsonNode line = JsonNode.Parse(Assert.Single(File.ReadAllLines(OutputFile)))!;
        Assert.Equal((0, 4, $"{b.Url}/"), (exit, (int)line["pairs"]!, (string)line["b"]!));
        Assert.Equal(5, a.Seen.Count(exchange => exchange.Target == "/generate")); // with the warm-up
        Assert.Contains("each pair", File.ReadAllText(Html), StringComparison.Ordinal);
    }

    private Task<int> RunAsync(params string[] typed) => BenchCommand.Create(TimeProvider.System)
        .Parse([.. typed, "--dataset-name", "random-ids", "--random-output-len", "2", "--random-range-ratio", "1", "--random-input-len", "5", "--disable-tqdm", "--output-file", OutputFile, "--html", Html])
        .InvokeAsync();

    private static async Task Generate(ScriptedExchange exchange)
    {
        if (exchange.Target != "/generate")
        {
            await exchange.RespondAsync(404, "{}");
            return;
        }
        await exchange.StartStreamAsync();
        for (int token = 1; token <= 2; token++)
        {
            string finish = token == 2 ? """{"type":"length","length":2}""" : "null";
            await exchange.WriteChunkAsync($$"""data: {"text":"a","meta_info":{"id":"r","finish_reason":{{finish}},"prompt_tokens":5,"completion_tokens":{{token}} } }""" + "\n\n");
        }
        await exchange.WriteChunkAsync("data: [DONE]\n\n");
        await exchange.EndStreamAsync();
    }
}
