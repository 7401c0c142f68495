using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Baton.Core.Requests;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Commands;

/// <summary>What arrives when: the options that every simulation of a workload takes.</summary>
internal sealed class SimulateWorkload
{
    private readonly Option<FileInfo?> _trace = new("--trace") { Description = "JSON lines of timestamp (ms), input_length, output_length and optional hash_ids: the Mooncake trace format." };
    private readonly Option<double> _slowdown = new("--mooncake-slowdown-factor") { Description = "Stretches the trace's times; 0.5 is twice the rate.", DefaultValueFactory = _ => 1 };
    private readonly Option<string> _arrivals = new("--arrivals") { Description = "poisson, constant, burst (--burst-size at once, then --burst-pause) or closed-loop (--clients, each sends when its last answer has ended).", DefaultValueFactory = _ => "poisson" };
    private readonly Option<double> _rate = new("--request-rate") { Description = "Requests per second of poisson and constant arrivals, conversations per second with --conversations; inf sends all at once.", DefaultValueFactory = _ => 10 };
    private readonly Option<int> _count = new("--num-prompts") { Description = "Requests; of a trace, how many are read at most. Default: 1000, and a whole trace." };
    private readonly Option<int> _burstSize = new("--burst-size") { Description = "Requests of one burst.", DefaultValueFactory = _ => 10 };
    private readonly Option<TimeSpan> _burstPause = new("--burst-pause") { Description = "Time from one burst to the next, such as 5s.", DefaultValueFactory = _ => TimeSpan.FromSeconds(5) };
    private readonly Option<int> _clients = new("--clients") { Description = "Clients of a closed loop.", DefaultValueFactory = _ => 16 };
    private readonly Option<string> _prompt = new("--prompt-tokens") { Description = "3500, uniform:100,4000 or log-normal:MEAN,SIGMA[,LONGEST].", DefaultValueFactory = _ => "1024" };
    private readonly Option<string> _output = new("--output-tokens") { Description = "The same for answers.", DefaultValueFactory = _ => "128" };
    private readonly Option<int> _conversations = new("--conversations") { Description = "So many conversations instead of single requests: each turn's prompt begins with all turns before it, and all share a system prompt." };
    private readonly Option<int> _turns = new("--turns") { Description = "Turns of a conversation.", DefaultValueFactory = _ => 4 };
    private readonly Option<int> _system = new("--system-prompt-tokens") { Description = "System prompt of the conversations.", DefaultValueFactory = _ => 512 };
    private readonly Option<TimeSpan> _think = new("--think-time") { Description = "Mean time from one turn to the next, such as 20s.", DefaultValueFactory = _ => TimeSpan.FromSeconds(20) };

    public SimulateWorkload()
    {
        _arrivals.Among("poisson", "constant", "burst", "closed-loop");
        _rate.CustomParser = result => result.Tokens[0].Value is "inf" ? double.PositiveInfinity : Positive(result);
        _slowdown.CustomParser = Positive;
        foreach (Option<TimeSpan> time in new[] { _burstPause, _think }) time.CustomParser = OptionText.Duration;
        foreach (Option<int> count in new[] { _count, _burstSize, _clients, _conversations, _turns, _system }) count.Validators.Add(OptionText.AtLeastOne);
    }

    public IEnumerable<Option> All =>
        [_trace, _slowdown, _arrivals, _rate, _count, _burstSize, _burstPause, _clients, _prompt, _output, _conversations, _turns, _system, _think];

    /// <summary>The workload that the options describe.</summary>
    /// <exception cref="FormatException">Options that do not go together, a length or a trace that cannot be read; the text is for the user.</exception>
    public Workload Draw(ParseResult parsed, ulong seed)
    {
        if (Given(parsed, _trace)) return ReadTrace(parsed);
        if (Given(parsed, _conversations)) return DrawConversations(parsed, seed);
        double rate = parsed.GetValue(_rate);
        ArrivalProcess arrivals = parsed.GetValue(_arrivals) switch
        {
            "closed-loop" => new ArrivalProcess.ClosedLoop(parsed.GetValue(_clients)),
            "burst" => new ArrivalProcess.Burst(parsed.GetValue(_burstSize), parsed.GetValue(_burstPause)),
            _ when double.IsInfinity(rate) => ArrivalProcess.AllAtOnce,
            "constant" => new ArrivalProcess.Constant(rate),
            _ => new ArrivalProcess.Poisson(rate),
        };
        Refuse(parsed, "--arrivals burst", arrivals is ArrivalProcess.Burst { Size: < int.MaxValue }, _burstSize, _burstPause);
        Refuse(parsed, "--arrivals closed-loop", arrivals is ArrivalProcess.ClosedLoop, _clients);
        Refuse(parsed, "--trace", isMeant: false, _slowdown);
        Refuse(parsed, "--conversations", isMeant: false, _turns, _system, _think);
        int count = Given(parsed, _count) ? parsed.GetValue(_count) : 1000;
        return Workload.Draw(count, arrivals, Length(parsed, _prompt), Length(parsed, _output), seed);
    }

    private Workload ReadTrace(ParseResult parsed)
    {
        Refuse(parsed, "drawn requests, and a trace has its own", isMeant: false, _arrivals, _rate, _burstSize, _burstPause, _clients, _prompt, _output, _conversations, _turns, _system, _think);
        FileInfo file = parsed.GetValue(_trace)!;
        try
        {
            using StreamReader text = file.OpenText();
            return Workload.OfTrace(file.Name, RequestTrace.Read(file.Name, text, Given(parsed, _count) ? parsed.GetValue(_count) : int.MaxValue), parsed.GetValue(_slowdown));
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"--trace {file}: {unreadable.Message}", unreadable);
        }
    }

    private Workload DrawConversations(ParseResult parsed, ulong seed)
    {
        Refuse(parsed, "single requests; conversations have --turns and --request-rate", isMeant: false, _arrivals, _burstSize, _burstPause, _clients, _count, _slowdown);
        double rate = parsed.GetValue(_rate);
        if (double.IsInfinity(rate)) throw new FormatException("--request-rate inf: conversations start at a rate; give a number.");
        Conversations conversations = new()
        {
            Count = parsed.GetValue(_conversations),
            Turns = parsed.GetValue(_turns),
            SystemPromptTokens = parsed.GetValue(_system),
            ThinkTime = parsed.GetValue(_think),
            ConversationsPerSecond = rate,
        };
        // Left out, a turn's lengths are a chat's and not those of single requests.
        if (Given(parsed, _prompt)) conversations = conversations with { UserTokens = Length(parsed, _prompt) };
        if (Given(parsed, _output)) conversations = conversations with { AnswerTokens = Length(parsed, _output) };
        return conversations.Draw(seed);
    }

    private static LengthDistribution Length(ParseResult parsed, Option<string> option)
    {
        try
        {
            return LengthDistribution.Parse(parsed.GetValue(option)!);
        }
        catch (FormatException wrong)
        {
            throw new FormatException($"{option.Name}: {wrong.Message}", wrong);
        }
    }

    private static void Refuse(ParseResult parsed, string what, bool isMeant, params Option[] options)
    {
        if (isMeant) return;
        foreach (Option option in options)
        {
            if (Given(parsed, option)) throw new FormatException($"{option.Name} is for {what}.");
        }
    }

    // A default is a result too, an implicit one.
    private static bool Given(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private static double Positive(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value > 0 && !double.IsInfinity(value)) return value;
        result.AddError($"{text}: give a number above 0.");
        return 1;
    }
}
