using Baton.Core.Randomness;

namespace Baton.Simulation.Workloads;

/// <summary>When requests come.</summary>
public abstract record ArrivalProcess
{
    /// <summary>Time from request <paramref name="index"/> to the next one, in whole microseconds so that no machine rounds differently.</summary>
    public abstract TimeSpan NextGap(int index, SeededRandom random);

    /// <summary>Requests in flight of a closed loop; 0 in an open one.</summary>
    public virtual int Concurrency => 0;

    /// <summary>Everything at once: bench_serving's <c>--request-rate inf</c>.</summary>
    public static ArrivalProcess AllAtOnce { get; } = new Burst(int.MaxValue, TimeSpan.Zero);

    /// <summary>Memoryless arrivals, <paramref name="RequestsPerSecond"/> on average; infinity is <see cref="AllAtOnce"/>.</summary>
    public sealed record Poisson(double RequestsPerSecond) : ArrivalProcess
    {
        public override TimeSpan NextGap(int index, SeededRandom random) =>
            double.IsPositiveInfinity(RequestsPerSecond) ? TimeSpan.Zero : Quantise(random.NextExponential(1 / RequestsPerSecond));

        public override string ToString() => $"Poisson {RequestsPerSecond}/s";
    }

    /// <summary>Evenly spaced.</summary>
    public sealed record Constant(double RequestsPerSecond) : ArrivalProcess
    {
        public override TimeSpan NextGap(int index, SeededRandom random) => Quantise(1 / RequestsPerSecond);

        public override string ToString() => $"constant {RequestsPerSecond}/s";
    }

    /// <summary><paramref name="Size"/> at the same instant, then a pause.</summary>
    public sealed record Burst(int Size, TimeSpan Pause) : ArrivalProcess
    {
        public override TimeSpan NextGap(int index, SeededRandom random) => (index + 1) % Size == 0 ? Pause : TimeSpan.Zero;

        public override string ToString() => Size == int.MaxValue ? "all at once" : $"bursts of {Size} every {Pause.TotalSeconds} s";
    }

    /// <summary><paramref name="Clients"/> clients, each sending its next request when the last one has ended.</summary>
    public sealed record ClosedLoop(int Clients) : ArrivalProcess
    {
        public override int Concurrency => Clients;

        public override TimeSpan NextGap(int index, SeededRandom random) => TimeSpan.Zero;

        public override string ToString() => $"closed loop of {Clients}";
    }

    private static TimeSpan Quantise(double seconds) => TimeSpan.FromMicroseconds(Math.Round(seconds * 1e6));
}
