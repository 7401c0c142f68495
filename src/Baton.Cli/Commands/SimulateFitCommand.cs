using System.CommandLine;
using Baton.Simulation.Fitting;

namespace Baton.Cli.Commands;

/// <summary><c>baton simulate fit</c>: a cost model from measurements of a real engine.</summary>
internal static class SimulateFitCommand
{
    public static Command Create()
    {
        Argument<FileInfo[]> files = new("files") { Description = "Output of 'baton bench --output-file FILE --output-details' against one rank.", Arity = ArgumentArity.OneOrMore };
        Option<FileInfo?> json = new("--json") { Description = "Write the cost model here, for --cost-model fitted:FILE and serve --simulated-cost fitted:FILE." };
        Option<int?> chunk = new("--chunked-prefill-size") { Description = "Of the measured server. Default: what it told bench." };
        chunk.Validators.Add(OptionText.AtLeastOne);
        Command command = new("fit", "Find the cost model that best explains bench output of a real engine, and say how well it does.") { files, json, chunk };
        command.SetAction(parsed => SimulateRunCommand.Run(() => Fit(parsed.GetValue(files)!, parsed.GetValue(json), parsed.GetValue(chunk))));
        return command;
    }

    private static void Fit(FileInfo[] files, FileInfo? json, int? chunk)
    {
        FittedCost fitted = CostFit.Fit([.. files.Select(file => (file.Name, (TextReader)new StringReader(Read(file))))], chunk);
        Console.Out.Write(fitted.ToText());
        Console.Out.WriteLine($"\n--cost-model {fitted.Cost}");
        if (json is null) return;
        File.WriteAllText(json.FullName, fitted.ToJson());
        Console.Out.WriteLine($"written: {json}. Use it as --cost-model fitted:{json}, or baton serve --engine simulated --simulated-cost fitted:{json}");
    }

    private static string Read(FileInfo file)
    {
        try
        {
            return File.ReadAllText(file.FullName);
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{file}: {unreadable.Message}", unreadable);
        }
    }
}
