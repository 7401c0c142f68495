using System.Globalization;
using Baton.Core.Ids;

namespace Baton.Simulation.Faults;

/// <summary>A worker as fault scripts and the virtual network name it: <c>prefill 0</c>.</summary>
public readonly record struct FaultWorker(WorkerRole Role, int Index)
{
    public static FaultWorker Prefill(int index) => new(WorkerRole.Prefill, index);

    public static FaultWorker Decode(int index) => new(WorkerRole.Decode, index);

    public override string ToString() => $"{(Role == WorkerRole.Prefill ? "prefill" : "decode")} {Index}";
}

/// <summary>When a fault lasts: [From, To), in time since the start of the run. Without an end it lasts to the end of the run.</summary>
public readonly record struct FaultSpan(TimeSpan From, TimeSpan? To)
{
    public override string ToString() => (From, To) switch
    {
        ({ Ticks: 0 }, null) => "",
        (_, null) => $" from {FaultTime.Text(From)}",
        _ => $" from {FaultTime.Text(From)} to {FaultTime.Text(To.Value)}",
    };
}

/// <summary>Durations as fault scripts write them: a number with us, ms, s, m or h.</summary>
public static class FaultTime
{
    private static readonly (string Unit, double Seconds)[] Units = [("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600)];

    public static bool TryParse(string text, out TimeSpan time)
    {
        foreach ((string unit, double seconds) in Units)
        {
            if (!text.EndsWith(unit, StringComparison.Ordinal)) continue;
            if (!double.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count) || count > 1e6) continue;
            time = TimeSpan.FromTicks((long)Math.Round(count * seconds * TimeSpan.TicksPerSecond));
            return true;
        }
        time = default;
        return false;
    }

    public static string Text(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.#######}s");
}

/// <summary>What a link fault does to single frames.</summary>
public enum LinkTrouble
{
    /// <summary>They take longer; all behind them wait, since TCP keeps their order.</summary>
    Delay,
    /// <summary>They arrive twice. TCP never does that: it stands for a peer or a proxy that repeats itself.</summary>
    Duplicate,
    /// <summary>The next one overtakes them. TCP never does that either.</summary>
    Reorder,
    /// <summary>One of their bits changes.</summary>
    Corrupt,
}

/// <summary>One thing that goes wrong: one line of a fault script. <see cref="object.ToString"/> writes the line.</summary>
public abstract record Fault
{
    /// <summary>When it happens or begins.</summary>
    public abstract TimeSpan Begins { get; }

    /// <summary>False for what lasts to the end of the run. A kill counts as ended when its restart is another line.</summary>
    public virtual bool IsHealed => true;

    /// <summary>The process ends; the system resets its connections.</summary>
    public sealed record Kill(FaultWorker Worker, TimeSpan At) : Fault
    {
        public override TimeSpan Begins => At;
        public override string ToString() => $"kill {Worker} at {FaultTime.Text(At)}";
    }

    /// <summary>A killed process comes back, empty.</summary>
    public sealed record Restart(FaultWorker Worker, TimeSpan At) : Fault
    {
        public override TimeSpan Begins => At;
        public override string ToString() => $"restart {Worker} at {FaultTime.Text(At)}";
    }

    /// <summary>The bootstrap server of a prefill worker answers nobody; null for those of all.</summary>
    public sealed record DropBootstrap(int? Server, FaultSpan Span) : Fault
    {
        public override TimeSpan Begins => Span.From;
        public override bool IsHealed => Span.To is not null;
        public override string ToString() => $"drop bootstrap{(Server is { } server ? $" {server}" : "")}{Span}";
    }

    /// <summary>A prefill and a decode worker cannot reach each other.</summary>
    public sealed record Partition(int Prefill, int Decode, FaultSpan Span) : Fault
    {
        public override TimeSpan Begins => Span.From;
        public override bool IsHealed => Span.To is not null;
        public override string ToString() => $"partition prefill {Prefill} decode {Decode}{Span}";
    }

    /// <summary>Every step of a worker takes <paramref name="Factor"/> times as long.</summary>
    public sealed record Slow(FaultWorker Worker, double Factor, FaultSpan Span) : Fault
    {
        public override TimeSpan Begins => Span.From;
        public override bool IsHealed => Span.To is not null;
        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"slow {Worker} x{Factor}{Span}");
    }

    /// <summary>Frames of all links between two workers, both ways.</summary>
    /// <param name="Chance">Of a frame to be hit, in (0, 1].</param>
    /// <param name="By">How much longer a delayed frame takes; zero for the others.</param>
    public sealed record Link(LinkTrouble Trouble, int Prefill, int Decode, double Chance, TimeSpan By, FaultSpan Span) : Fault
    {
        public override TimeSpan Begins => Span.From;
        public override bool IsHealed => Span.To is not null;
        public override string ToString() => string.Create(CultureInfo.InvariantCulture,
            $"{Verb} link prefill {Prefill} decode {Decode} {Chance * 100:0.####}%{(Trouble == LinkTrouble.Delay ? $" by {FaultTime.Text(By)}" : "")}{Span}");

        private string Verb => Trouble switch
        {
            LinkTrouble.Delay => "delay",
            LinkTrouble.Duplicate => "duplicate",
            LinkTrouble.Reorder => "reorder",
            _ => "corrupt",
        };
    }

    /// <summary>The connections between two workers are reset: each side hears of it, and the next claim makes a new one.</summary>
    public sealed record BreakLink(int Prefill, int Decode, TimeSpan At) : Fault
    {
        public override TimeSpan Begins => At;
        public override string ToString() => $"break link prefill {Prefill} decode {Decode} at {FaultTime.Text(At)}";
    }

    /// <summary>The client of a request hangs up.</summary>
    public sealed record Abort(int Request, TimeSpan At) : Fault
    {
        public override TimeSpan Begins => At;
        public override string ToString() => $"abort request {Request} at {FaultTime.Text(At)}";
    }
}
