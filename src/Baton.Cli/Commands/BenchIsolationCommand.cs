using System.CommandLine;
using System.Text.Json.Nodes;
using Baton.Bench;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Cli.Commands;

/// <summary><c>baton bench isolation</c>: what long prompts do to the gaps between tokens of requests that already run.</summary>
internal static class BenchIsolationCommand
{
    public static Command Create(TimeProvider time)
    {
        IsolationOptions defaults = new();
        BenchOptions options = new();
        Option<string?> against = new("--against") { Description = "Second server, measured after --base-url in each round: say, unified first and prefill/decode here." };
        Option<int> rounds = new("--rounds") { Description = "Rounds, with both servers in turn.", DefaultValueFactory = _ => 3 };
        Option<int> streams = new("--streams") { Description = "Streams that decode meanwhile.", DefaultValueFactory = _ => defaults.Streams };
        Option<int> streamInput = new("--stream-input-len") { Description = "Prompt tokens of a stream.", DefaultValueFactory = _ => defaults.StreamInputTokens };
        Option<int> streamOutput = new("--stream-output-len") { Description = "Output tokens of a stream.", DefaultValueFactory = _ => defaults.StreamOutputTokens };
        Option<int> prompts = new("--prompts") { Description = "Long prompts.", DefaultValueFactory = _ => defaults.Prompts };
        Option<int> promptLength = new("--prompt-len") { Description = "Tokens of a long prompt.", DefaultValueFactory = _ => defaults.PromptTokens };
        Option<double> interval = new("--prompt-interval") { Description = "Seconds between long prompts.", DefaultValueFactory = _ => defaults.PromptInterval.TotalSeconds };
        Command command = new("isolation", "Worst gap between tokens of running streams while long prompts arrive.")
        {
            against, rounds, streams, streamInput, streamOutput, prompts, promptLength, interval,
        };
        options.AddTo(command);
        command.SetAction((parsed, ct) => BenchCommand.GuardAsync(async () =>
        {
            BenchSettings settings = options.Bind(parsed);
            if (settings.Backend.Api == BenchApi.Chat) throw new BenchException("bench isolation sends token ids, which the chat API does not take: use another --backend.");
            IsolationOptions isolation = defaults with
            {
                Streams = parsed.GetValue(streams),
                StreamInputTokens = parsed.GetValue(streamInput),
                StreamOutputTokens = parsed.GetValue(streamOutput),
                Prompts = parsed.GetValue(prompts),
                PromptTokens = parsed.GetValue(promptLength),
                PromptInterval = TimeSpan.FromSeconds(parsed.GetValue(interval)),
            };
            Uri[] servers = parsed.GetValue(against) is { } second ? [settings.BaseUrl, BenchOptions.ParseUrl("--against", second)] : [settings.BaseUrl];
            BenchClient[] clients = [.. servers.Select(server => new BenchClient(settings.ClientOptions(server), BenchClient.CreateHandler()))];
            try
            {
                List<IsolationOutcome>[] outcomes = [.. servers.Select(_ => new List<IsolationOutcome>())];
                for (int round = 0; round < parsed.GetValue(rounds); round++)
                {
                    for (int i = 0; i < clients.Length; i++)
                    {
                        await Console.Error.WriteLineAsync($"Round {round + 1}: {servers[i]}");
                        outcomes[i].Add(await new IsolationRun(settings, clients[i], time, isolation).RunAsync(ct));
                    }
                }
                Show(servers, outcomes);
                if (parsed.GetValue(options.OutputFile) is { } file) await File.AppendAllTextAsync(file, Line(servers, outcomes) + "\n", ct);
                return 0;
            }
            finally
            {
                foreach (BenchClient client in clients) client.Dispose();
            }
        }));
        return command;
    }

    /// <summary>Middle of the rounds: one worst gap alone would be the machine's worst moment.</summary>
    private static double MedianWorst(IEnumerable<Distribution> rounds) => new Distribution(rounds.Select(round => round.Max)).Median;

    private static void Show(Uri[] servers, List<IsolationOutcome>[] outcomes)
    {
        Table table = new Table().Border(TableBorder.Rounded).Title("Gaps between tokens of the running streams (ms)");
        table.AddColumn("Server");
        foreach (string column in new[] { "round", "quiet p50", "quiet worst", "disturbed p50", "disturbed p99", "disturbed worst", "prompt TTFT p50", "failed" }) table.AddColumn(new TableColumn(column).RightAligned());
        for (int i = 0; i < servers.Length; i++)
        {
            for (int round = 0; round < outcomes[i].Count; round++)
            {
                IsolationOutcome of = outcomes[i][round];
                table.AddRow(
                    Markup.Escape(servers[i].ToString()), $"{round + 1}", $"{of.Quiet.Median:F2}", $"{of.Quiet.Max:F2}", $"{of.Disturbed.Median:F2}",
                    $"{of.Disturbed.Percentile(99):F2}", $"{of.Disturbed.Max:F2}", $"{of.PromptTtftMs.Median:F1}", $"{of.FailedStreams + of.FailedPrompts}");
            }
        }
        AnsiConsole.Write(table);
        if (servers.Length == 2)
        {
            double first = MedianWorst(outcomes[0].Select(of => of.Disturbed));
            double second = MedianWorst(outcomes[1].Select(of => of.Disturbed));
            AnsiConsole.MarkupLineInterpolated($"Worst gap, middle of the rounds: {first:F2} ms at {servers[0]}, {second:F2} ms at {servers[1]}: ratio [bold]{second / first:F3}[/]");
        }
    }

    private static string Line(Uri[] servers, List<IsolationOutcome>[] outcomes)
    {
        JsonArray sides = [];
        for (int i = 0; i < servers.Length; i++)
        {
            sides.Add(new JsonObject
            {
                ["server"] = servers[i].ToString(),
                ["median_worst_gap_ms"] = MedianWorst(outcomes[i].Select(of => of.Disturbed)),
                ["worst_gap_ms"] = new JsonArray([.. outcomes[i].Select(of => (JsonNode)of.Disturbed.Max)]),
                ["p99_gap_ms"] = new JsonArray([.. outcomes[i].Select(of => (JsonNode)of.Disturbed.Percentile(99))]),
                ["quiet_worst_gap_ms"] = new JsonArray([.. outcomes[i].Select(of => (JsonNode)of.Quiet.Max)]),
                ["failed"] = outcomes[i].Sum(of => of.FailedStreams + of.FailedPrompts),
            });
        }
        return new JsonObject { ["command"] = BenchCommand.CommandLineNote(), ["servers"] = sides }.ToJsonString();
    }
}
