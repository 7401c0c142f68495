using System.Globalization;
using Baton.Core.Ids;

namespace Baton.Simulation.Faults;

/// <summary>Reads one line of a fault script, word by word.</summary>
internal sealed class FaultLine(string[] words, FaultTargets targets)
{
    private const string Verbs = "kill, restart, drop, partition, slow, delay, duplicate, reorder, corrupt, break, abort";
    private const double DefaultChance = 0.1;
    private int _next;

    /// <exception cref="FaultScriptException">Without the line's number, which the caller knows.</exception>
    public Fault Read()
    {
        string verb = words[_next++];
        Fault fault = verb switch
        {
            "kill" => new Fault.Kill(Worker(), At()),
            "restart" => new Fault.Restart(Worker(), At()),
            "drop" => DropBootstrap(),
            "partition" => Partition(),
            "slow" => new Fault.Slow(Worker(), Factor(), Span()),
            "delay" => Link(LinkTrouble.Delay),
            "duplicate" => Link(LinkTrouble.Duplicate),
            "reorder" => Link(LinkTrouble.Reorder),
            "corrupt" => Link(LinkTrouble.Corrupt),
            "break" => BreakLink(),
            "abort" => Abort(),
            _ => throw Wrong($"'{verb}' is no fault. Known are: {Verbs}."),
        };
        return _next == words.Length ? fault : throw Wrong($"'{words[_next]}' is more than '{verb}' takes.");
    }

    private Fault.DropBootstrap DropBootstrap()
    {
        Expect("bootstrap");
        int? server = int.TryParse(Peek, CultureInfo.InvariantCulture, out _) ? Index("bootstrap", targets.PrefillWorkers) : null;
        if (Peek is null or "from" or "to") return new Fault.DropBootstrap(server, Span());
        TimeSpan length = Time("how long it is silent, as 5s, or from and to");
        TimeSpan from = Peek is null ? TimeSpan.Zero : At();
        return new Fault.DropBootstrap(server, new FaultSpan(from, from + length));
    }

    private Fault.Partition Partition()
    {
        (int prefill, int decode) = BothEnds();
        return new Fault.Partition(prefill, decode, Span());
    }

    private Fault.Link Link(LinkTrouble trouble)
    {
        Expect("link");
        (int prefill, int decode) = BothEnds();
        // A delay hits every frame unless it says otherwise: that is a slower network.
        double chance = Peek?.EndsWith('%') == true ? Percent() : trouble == LinkTrouble.Delay ? 1 : DefaultChance;
        TimeSpan by = TimeSpan.Zero;
        if (trouble == LinkTrouble.Delay)
        {
            Expect("by");
            by = Time("how much longer frames take, as 50ms");
        }
        return new Fault.Link(trouble, prefill, decode, chance, by, Span());
    }

    private Fault.BreakLink BreakLink()
    {
        Expect("link");
        (int prefill, int decode) = BothEnds();
        return new Fault.BreakLink(prefill, decode, At());
    }

    private Fault.Abort Abort()
    {
        Expect("request");
        return new Fault.Abort(Index("request", targets.Requests), At());
    }

    private string? Peek => _next < words.Length ? words[_next] : null;

    private string Take(string what) => Peek is { } word ? words[_next++] : throw Wrong($"The line ends where {what} is due.");

    private void Expect(string word)
    {
        string found = Take($"'{word}'");
        if (found != word) throw Wrong($"'{found}' stands where '{word}' is due.");
    }

    private FaultWorker Worker()
    {
        string role = Take("'prefill' or 'decode'");
        return role switch
        {
            "prefill" => FaultWorker.Prefill(Index(role, targets.PrefillWorkers)),
            "decode" => FaultWorker.Decode(Index(role, targets.DecodeWorkers)),
            _ => throw Wrong($"'{role}' stands where 'prefill' or 'decode' is due."),
        };
    }

    /// <summary>One worker of each role, in either order.</summary>
    private (int Prefill, int Decode) BothEnds()
    {
        FaultWorker first = Worker(), second = Worker();
        if (first.Role == second.Role) throw Wrong($"{first} and {second} have no link: name a prefill and a decode worker.");
        return first.Role == WorkerRole.Prefill ? (first.Index, second.Index) : (second.Index, first.Index);
    }

    private int Index(string what, int count)
    {
        string text = Take($"the number of a {what}");
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int index)) throw Wrong($"'{text}' is no number of a {what}.");
        return index < count ? index : throw Wrong($"There is no {what} {index}: this run has {count}, numbered from 0.");
    }

    private TimeSpan At()
    {
        Expect("at");
        return Time("a time, as 12s");
    }

    private FaultSpan Span()
    {
        TimeSpan from = TimeSpan.Zero;
        if (Peek == "from")
        {
            _next++;
            from = Time("a time, as 3s");
        }
        if (Peek != "to") return new FaultSpan(from, null);
        _next++;
        TimeSpan to = Time("a time, as 9s");
        return to > from ? new FaultSpan(from, to) : throw Wrong($"It ends at {FaultTime.Text(to)}, which is not after {FaultTime.Text(from)}.");
    }

    private double Factor()
    {
        string text = Take("a factor, as x3");
        return text.StartsWith('x') && Number(text[1..]) is > 0 and { } factor ? factor : throw Wrong($"'{text}' is no factor. Write x3 for three times as long.");
    }

    private double Percent()
    {
        string text = Take("a chance, as 10%");
        return Number(text[..^1]) is > 0 and <= 100 and { } percent ? percent / 100 : throw Wrong($"'{text}' is no chance. Write 10% for one frame in ten; more than 0 and at most 100.");
    }

    private TimeSpan Time(string what)
    {
        string text = Take(what);
        return FaultTime.TryParse(text, out TimeSpan time) ? time : throw Wrong($"'{text}' is no time. Write a number with us, ms, s, m or h, as 1.5s.");
    }

    private static double? Number(string text) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number) ? number : null;

    private static FaultScriptException Wrong(string what) => new(what);
}
