using System.Globalization;
using Baton.Core.Engine.Simulated;
using Baton.Simulation.Workloads;

namespace Baton.Benchmarks.Ttft;

/// <summary>What <c>ttft</c> measures. The defaults are SGLang's published experiment (pull request 14726).</summary>
/// <remarks>Times and rates are on the published scale; the processes run <see cref="Speedup"/> times as fast.</remarks>
internal sealed record TtftPlan
{
    public static readonly string[] AllMethods = ["follow_bootstrap_room", "round_robin", "auto", "default"];

    /// <summary>Of the arrivals, and of lengths and tokens.</summary>
    public IReadOnlyList<int> Seeds { get; init; } = [1, 2, 3];
    public IReadOnlyList<double> Rates { get; init; } = [1, 2, 2.6, 3.2, 4, double.PositiveInfinity];
    /// <summary>The first three are load balance methods of the prefill worker; with <c>default</c> the router chooses ranks too, as it does when nobody says otherwise.</summary>
    public IReadOnlyList<string> Methods { get; init; } = AllMethods;
    public int Requests { get; init; } = 200;
    public int OutputTokens { get; init; } = 5;
    public LengthDistribution Lengths { get; init; } = new LengthDistribution.Fixed(3500);
    public double Speedup { get; init; } = 20;
    public int Ranks { get; init; } = 4;
    /// <summary>37 s mean TTFT for 200 requests at once means 0.37 s a request over four ranks: 1.48 s a prompt of 3,500 tokens.</summary>
    public CostModel Cost { get; init; } = CostModel.Parse("fixed=5,prompt=0.42,row=0.1");
    /// <summary>A prompt of the experiment in one step; mixed lengths are cut, so that a rank's remaining work is known between the cuts.</summary>
    public int ChunkTokens => Lengths is LengthDistribution.Fixed ? 3584 : 512;
    public int ContextTokens => IsSimulated ? 8192 : 2048;
    /// <summary>False: the demo model, at its own speed. Then there is no oracle: what a prompt costs depends on what else the cores do.</summary>
    public bool IsSimulated { get; init; } = true;
    /// <summary>Rows of an earlier run in the result file stay, for other seeds.</summary>
    public bool Append { get; init; }
    /// <summary>Every request of every run, as JSON lines; null for none.</summary>
    public string? DetailsPath { get; init; }
    public string ResultName { get; init; } = "ttft-published";

    public static string Usage =>
        """
        ttft [SEEDS] [--seeds 1-3] [--rates 1,2,2.6,3.2,4,inf] [--methods follow_bootstrap_room,round_robin,auto,default] [--requests 200]
             [--lengths fixed|lognormal] [--engine simulated|demo] [--speedup 20] [--cost fixed=5,prompt=0.42,row=0.1] [--append] [--details FILE] [--result NAME]
        """;

    /// <exception cref="FormatException">An argument that is none.</exception>
    public static TtftPlan Parse(string[] args)
    {
        TtftPlan plan = new();
        for (int i = 0; i < args.Length; i++)
        {
            string name = args[i];
            string Value() => ++i < args.Length ? args[i] : throw new FormatException($"{name} needs a value.\n{Usage}");
            plan = name switch
            {
                "--seeds" => plan with { Seeds = Range(Value()) },
                "--rates" => plan with { Rates = [.. Value().Split(',').Select(Rate)] },
                "--methods" => plan with { Methods = [.. Value().Split(',').Select(Method)] },
                "--requests" => plan with { Requests = int.Parse(Value(), CultureInfo.InvariantCulture) },
                "--lengths" => plan.WithLengths(Value()),
                "--speedup" => plan with { Speedup = double.Parse(Value(), CultureInfo.InvariantCulture) },
                "--cost" => plan with { Cost = CostModel.Parse(Value()) },
                "--engine" => plan.WithEngine(Value()),
                "--append" => plan with { Append = true },
                "--details" => plan with { DetailsPath = Value() },
                "--result" => plan with { ResultName = Value() },
                _ when int.TryParse(name, out int seeds) && seeds > 0 => plan with { Seeds = [.. Enumerable.Range(1, seeds)] },
                _ => throw new FormatException($"{name}: not known.\n{Usage}"),
            };
        }
        return plan;
    }

    public static string NameOf(double rate) => double.IsFinite(rate) ? rate.ToString(CultureInfo.InvariantCulture) : "inf";

    private TtftPlan WithLengths(string text) => text switch
    {
        "fixed" => this,
        "lognormal" => this with { Lengths = new LengthDistribution.LogNormal(3500, 1, 8000), ResultName = "ttft-mixed" },
        _ => throw new FormatException($"--lengths {text}: fixed or lognormal.\n{Usage}"),
    };

    // Two ranks for the two cores of the machine that the results come from; lengths up to the model's context.
    private TtftPlan WithEngine(string text) => text switch
    {
        "simulated" => this,
        "demo" => this with
        {
            IsSimulated = false,
            Speedup = 1,
            Ranks = 2,
            Rates = [4, 8, 12, 16, double.PositiveInfinity],
            Requests = 100,
            ResultName = "ttft-demo-model",
            Lengths = new LengthDistribution.LogNormal(500, 1, 2000),
        },
        _ => throw new FormatException($"--engine {text}: simulated or demo.\n{Usage}"),
    };

    private static string Method(string text) =>
        AllMethods.Contains(text, StringComparer.Ordinal) ? text : throw new FormatException($"--methods {text}: one of {string.Join(", ", AllMethods)}.");

    private static double Rate(string text) => text == "inf" ? double.PositiveInfinity : double.Parse(text, CultureInfo.InvariantCulture);

    private static int[] Range(string text)
    {
        int[] ends = [.. text.Split('-').Select(part => int.Parse(part, CultureInfo.InvariantCulture))];
        return [.. Enumerable.Range(ends[0], ends[^1] - ends[0] + 1)];
    }
}
