using Baton.Core.Requests;

namespace Baton.Simulation.Workloads;

/// <summary>One request of a workload. Lengths in tokens, times since the start of the run.</summary>
/// <param name="Index">0-based, in order of arrival; also seeds the prompt's tokens.</param>
/// <param name="ArrivesAt">Intended arrival. In a closed loop: not before the request that frees its place has ended.</param>
/// <param name="HashIds">The first blocks of <see cref="RequestTrace.BlockTokens"/> prompt tokens, by name: equal ids have equal tokens (Mooncake's hash ids). Empty when nothing is known.</param>
/// <param name="Conversation">Turns with the same number belong together: one is not sent before the answer to the one before has ended. -1 for none.</param>
public sealed record WorkloadRequest(
    int Index, TimeSpan ArrivesAt, int PromptTokens, int OutputTokens, IReadOnlyList<long> HashIds, int Conversation = -1);

/// <summary>What arrives when. A list that was drawn from one seed, so that every policy sees the same requests.</summary>
/// <param name="Concurrency">0: open loop, arrivals are fixed. Otherwise a closed loop with so many requests in flight.</param>
public sealed record Workload(string Description, IReadOnlyList<WorkloadRequest> Requests, int Concurrency = 0)
{
    /// <summary>Draws <paramref name="count"/> requests.</summary>
    public static Workload Draw(int count, ArrivalProcess arrivals, LengthDistribution prompt, LengthDistribution output, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        // A stream of its own for each of the three: another length distribution leaves the arrivals where they were.
        Core.Randomness.SeededRandom random = new(seed);
        Core.Randomness.SeededRandom gaps = random.Fork(1), prompts = random.Fork(2), outputs = random.Fork(3);
        WorkloadRequest[] requests = new WorkloadRequest[count];
        TimeSpan at = TimeSpan.Zero;
        for (int i = 0; i < count; i++)
        {
            requests[i] = new WorkloadRequest(i, at, prompt.Draw(prompts), output.Draw(outputs), []);
            at += arrivals.NextGap(i, gaps);
        }
        return new Workload($"{count} requests, {arrivals}, prompt {prompt}, output {output}, seed {seed}", requests, arrivals.Concurrency);
    }

    /// <summary>A recorded workload.</summary>
    /// <param name="slowdown">Stretches the trace's times; 0.5 is twice the rate.</param>
    /// <exception cref="FormatException">A slowdown that is no number above 0.</exception>
    public static Workload OfTrace(string name, IReadOnlyList<TracedRequest> trace, double slowdown = 1)
    {
        if (!(slowdown > 0) || double.IsInfinity(slowdown)) throw new FormatException($"Trace slowdown {slowdown}: give a factor above 0.");
        // In whole microseconds, as drawn arrivals are.
        WorkloadRequest[] requests = [.. trace.Select((r, i) => new WorkloadRequest(i, TimeSpan.FromMicroseconds(Math.Round(r.At.TotalMicroseconds * slowdown)), r.PromptTokens, r.OutputTokens, r.HashIds))];
        return new Workload($"trace {name}, {requests.Length} requests", requests);
    }
}
