using System.CommandLine;
using Baton.Bench;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Cli.Commands;

/// <summary><c>baton bench</c>: measures any server that speaks SGLang's or OpenAI's API, and reports as bench_serving does.</summary>
internal static class BenchCommand
{
    public static Command Create(TimeProvider time)
    {
        BenchOptions options = new();
        Command command = new("bench", "Measure a server: SGLang's bench_serving options, report and JSON lines, with more behind them.");
        options.AddTo(command);
        command.SetAction((parsed, ct) => GuardAsync(() => ServeAsync(options, parsed, time, ct)));
        return command;
    }

    private static async Task<int> ServeAsync(BenchOptions options, ParseResult parsed, TimeProvider time, CancellationToken ct)
    {
        BenchSettings settings = options.Bind(parsed);
        using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
        ServingRun run = new(settings, client, time, Observer(options, parsed, time));
        BenchOutcome outcome = await run.RunAsync(ct);

        Console.Out.Write(ReportBlock.Write(outcome.Header, outcome.Figures));
        TerminalSummary.Write(AnsiConsole.Console, outcome);
        if (parsed.GetValue(options.PdSeparated) && outcome.Pd.IsEmpty)
            AnsiConsole.MarkupLine("[yellow]WARNING: --pd-separated, but no response named a dp_rank: are these PD workers behind --base-url?[/]");
        string file = parsed.GetValue(options.OutputFile) ?? OutputFileName.For(settings, time.GetLocalNow());
        await AppendAsync(file, settings, outcome, ct);
        return outcome.Figures.Completed > 0 ? 0 : 1;
    }

    private static async Task AppendAsync(string file, BenchSettings settings, BenchOutcome outcome, CancellationToken ct)
    {
        string line = JsonLine.Write(
            settings.Tag, outcome.Header, settings.Dataset, outcome.Figures, outcome.Pd, outcome.ServerInfo, settings.KeepDetails ? outcome.Records : null);
        await File.AppendAllTextAsync(file, line + "\n", ct);
        await Console.Error.WriteLineAsync($"Appended to {file}");
    }

    private static ProgressObserver Observer(BenchOptions options, ParseResult parsed, TimeProvider time)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return new ProgressObserver(console, time, isEnabled: !parsed.GetValue(options.DisableTqdm) && !Console.IsErrorRedirected);
    }

    /// <summary>What the user can correct is printed as one line; anything else is a bug and keeps its stack.</summary>
    private static async Task<int> GuardAsync(Func<Task<int>> action)
    {
        try
        {
            return await action();
        }
        catch (BenchException wrong)
        {
            await Console.Error.WriteLineAsync(wrong.Message);
            return 1;
        }
    }
}
