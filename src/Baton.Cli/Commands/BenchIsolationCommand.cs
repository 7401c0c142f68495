using System.CommandLine;
using Baton.Bench;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Cli.Commands;

/// <summary><c>baton bench isolation</c>: what long prompts do to the gaps between tokens of requests that already run.</summary>
internal static class BenchIsolationCommand
{
    public static Command Create(TimeProvider time)
    {
        IsolationOptions defaults = new();
        BenchOptions options = new(BenchOptions.Requests, BenchOptions.TraceTimes, BenchOptions.OneRun);
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
                Streams = BenchOptions.AtLeast(1, parsed, streams),
                StreamInputTokens = BenchOptions.AtLeast(1, parsed, streamInput),
                StreamOutputTokens = BenchOptions.AtLeast(1, parsed, streamOutput),
                Prompts = BenchOptions.AtLeast(1, parsed, prompts),
                PromptTokens = BenchOptions.AtLeast(1, parsed, promptLength),
                PromptInterval = TimeSpan.FromSeconds(BenchOptions.AtLeast(0, parsed, interval)),
            };
            Uri[] servers = parsed.GetValue(against) is { } second ? [settings.BaseUrl, BenchOptions.ParseUrl("--against", second)] : [settings.BaseUrl];
            BenchClient[] clients = [.. servers.Select(server => new BenchClient(settings.ClientOptions(server), BenchClient.CreateHandler()))];
            try
            {
                List<IsolationOutcome>[] outcomes = [.. servers.Select(_ => new List<IsolationOutcome>())];
                foreach (BenchClient client in clients) await new IsolationRun(settings, client, time, isolation).WarmUpAsync(ct);
                for (int round = 0; round < BenchOptions.AtLeast(1, parsed, rounds); round++)
                {
                    for (int i = 0; i < clients.Length; i++)
                    {
                        await Console.Error.WriteLineAsync($"Round {round + 1}: {servers[i]}");
                        outcomes[i].Add(await new IsolationRun(settings, clients[i], time, isolation).RunAsync(ct));
                    }
                }
                IsolationReport report = new(isolation, [.. servers.Select((server, i) => new IsolationSide(server.ToString(), outcomes[i]))]);
                Show(report);
                string note = BenchCommand.CommandLineNote();
                if (parsed.GetValue(options.OutputFile) is { } file) await BenchCommand.AppendAsync(file, report.Line(note), ct);
                if (parsed.GetValue(options.Html) is { } html) await BenchCommand.WriteHtmlAsync(html, report.Page(note), ct);
                return 0;
            }
            finally
            {
                foreach (BenchClient client in clients) client.Dispose();
            }
        }));
        return command;
    }

    private static void Show(IsolationReport report)
    {
        Table table = new Table().Border(TableBorder.Rounded).Title("Gaps between tokens of the running streams (ms)");
        table.AddColumn("Server");
        foreach (string column in new[] { "round", "quiet p50", "quiet worst", "disturbed p50", "disturbed p99", "disturbed worst", "prompt TTFT p50", "failed" }) table.AddColumn(new TableColumn(column).RightAligned());
        foreach (IsolationSide side in report.Sides)
        {
            for (int round = 0; round < side.Rounds.Count; round++)
            {
                IsolationOutcome of = side.Rounds[round];
                table.AddRow(
                    Markup.Escape(side.Server), $"{round + 1}", $"{of.Quiet.Median:F2}", $"{of.Quiet.Max:F2}", $"{of.Disturbed.Median:F2}",
                    $"{of.Disturbed.Percentile(99):F2}", $"{of.Disturbed.Max:F2}", $"{of.PromptTtftMs.Median:F1}", $"{of.FailedStreams + of.FailedPrompts}");
            }
        }
        AnsiConsole.Write(table);
        if (report.Ratio is not { } ratio) return;
        (IsolationSide first, IsolationSide second) = (report.Sides[0], report.Sides[1]);
        AnsiConsole.MarkupLineInterpolated($"Worst gap, middle of the rounds: {first.MedianWorstMs:F2} ms at {first.Server}, {second.MedianWorstMs:F2} ms at {second.Server}: ratio [bold]{ratio:F3}[/]");
        AnsiConsole.MarkupLineInterpolated($"Worst gap of all rounds: {first.WorstMs:F2} and {second.WorstMs:F2} ms: ratio {report.RatioOfWorst:F3}");
    }
}
