using System.CommandLine;
using Baton.Simulation.Figures;

namespace Baton.Cli.Commands;

/// <summary>What users are promised, as options.</summary>
internal sealed class SimulateGoals
{
    private readonly Option<TimeSpan?> _ttft = new("--slo-ttft") { Description = "Bound on the time to first token, such as 2s." };
    private readonly Option<TimeSpan?> _itl = new("--slo-itl") { Description = "Bound on every gap between two tokens of an answer, such as 50ms." };
    private readonly Option<double> _attainment = new("--attainment") { Description = "Share of requests inside both bounds, such as 0.99.", DefaultValueFactory = _ => 0.99 };

    public SimulateGoals()
    {
        foreach (Option<TimeSpan?> bound in new[] { _ttft, _itl }) bound.CustomParser = result => OptionText.Duration(result);
        _attainment.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.GetValueOrDefault<double>() is not (> 0 and <= 1)) result.AddError("--attainment: give a share above 0 and up to 1, such as 0.99.");
        });
    }

    public IEnumerable<Option> All => [_ttft, _itl, _attainment];

    public ServiceGoals Read(ParseResult parsed) => new(parsed.GetValue(_ttft), parsed.GetValue(_itl), parsed.GetValue(_attainment));
}
