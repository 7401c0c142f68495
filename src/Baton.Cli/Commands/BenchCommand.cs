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
        command.Subcommands.Add(BenchSweepCommand.Create(time));
        command.Subcommands.Add(BenchCompareCommand.Create(time));
        command.Subcommands.Add(BenchIsolationCommand.Create(time));
        command.SetAction((parsed, ct) => GuardAsync(() => ServeAsync(options, parsed, time, ct)));
        return command;
    }

    private static async Task<int> ServeAsync(BenchOptions options, ParseResult parsed, TimeProvider time, CancellationToken ct)
    {
        BenchSettings settings = options.Bind(parsed);
        using BenchClient client = new(settings.ClientOptions(), BenchClient.CreateHandler());
        ServingRun run = new(settings, client, time, Observer(options, parsed, time));
        BenchOutcome outcome = await run.RunAsync(ct);

        Show(outcome);
        if (parsed.GetValue(options.PdSeparated) && outcome.Pd.IsEmpty)
            AnsiConsole.MarkupLine("[yellow]WARNING: --pd-separated, but no response named a dp_rank: are these PD workers behind --base-url?[/]");
        await AppendAsync(OutputPath(options, parsed, settings, time), settings, outcome, ct);
        if (parsed.GetValue(options.Html) is { } html) await WriteHtmlAsync(html, HtmlReport.Write($"baton bench: {settings.BaseUrl}", CommandLineNote(), outcome), ct);
        return outcome.Figures.Completed > 0 ? 0 : 1;
    }

    /// <summary>bench_serving's block, then what it leaves out.</summary>
    internal static void Show(BenchOutcome outcome)
    {
        Console.Out.Write(ReportBlock.Write(outcome.Header, outcome.Figures));
        TerminalSummary.Write(AnsiConsole.Console, outcome);
    }

    internal static string OutputPath(BenchOptions options, ParseResult parsed, BenchSettings settings, TimeProvider time) =>
        parsed.GetValue(options.OutputFile) ?? OutputFileName.For(settings, time.GetLocalNow());

    /// <summary>Says under a report what was typed, without the program's path and without a key.</summary>
    internal static string CommandLineNote()
    {
        string[] typed = [.. Environment.GetCommandLineArgs().Skip(1)];
        for (int i = 1; i < typed.Length; i++)
        {
            if (typed[i - 1] == "--api-key") typed[i] = "…";
        }
        return "baton " + string.Join(' ', typed);
    }

    internal static async Task WriteHtmlAsync(string path, string page, CancellationToken ct)
    {
        await File.WriteAllTextAsync(path, page, ct);
        await Console.Error.WriteLineAsync($"Report: {Path.GetFullPath(path)}");
    }

    internal static async Task AppendAsync(string file, BenchSettings settings, BenchOutcome outcome, CancellationToken ct)
    {
        string line = JsonLine.Write(
            settings.Tag, outcome.Header, settings.Dataset, outcome.Figures, outcome.Pd, outcome.ServerInfo, settings.KeepDetails ? outcome.Records : null);
        await AppendAsync(file, line, ct);
    }

    internal static async Task AppendAsync(string file, string line, CancellationToken ct)
    {
        await File.AppendAllTextAsync(file, line + "\n", ct);
        await Console.Error.WriteLineAsync($"Appended to {file}");
    }

    internal static ProgressObserver Observer(BenchOptions options, ParseResult parsed, TimeProvider time)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return new ProgressObserver(console, time, isEnabled: !parsed.GetValue(options.DisableTqdm) && !Console.IsErrorRedirected);
    }

    /// <summary>What the user can correct is printed as one line; anything else is a bug and keeps its stack.</summary>
    internal static async Task<int> GuardAsync(Func<Task<int>> action)
    {
        // Into a file or a pipe there is no terminal to fit the tables to, or to understand colours.
        if (Console.IsOutputRedirected)
        {
            AnsiConsole.Profile.Width = 160;
            AnsiConsole.Profile.Capabilities.Ansi = false;
            AnsiConsole.Profile.Capabilities.ColorSystem = ColorSystem.NoColors;
        }
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
