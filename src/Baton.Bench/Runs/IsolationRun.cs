using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Bench.Runs;

/// <summary>How decode is disturbed.</summary>
public sealed record IsolationOptions
{
    /// <summary>Streams that decode while the long prompts arrive.</summary>
    public int Streams { get; init; } = 4;
    public int StreamInputTokens { get; init; } = 32;
    public int StreamOutputTokens { get; init; } = 512;
    /// <summary>Long prompts, one output token each.</summary>
    public int Prompts { get; init; } = 8;
    public int PromptTokens { get; init; } = 1024;
    public TimeSpan PromptInterval { get; init; } = TimeSpan.FromMilliseconds(500);
    /// <summary>Undisturbed decoding before the first long prompt, counted from the first token of the last stream.</summary>
    public TimeSpan Quiet { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>Gaps between events of the running streams, in milliseconds.</summary>
/// <param name="Quiet">Gaps that ended before the first long prompt was sent.</param>
/// <param name="Disturbed">Gaps that were open at some time between the first long prompt's start and the last one's end.</param>
public sealed record IsolationOutcome(
    Distribution Quiet, Distribution Disturbed, Distribution PromptTtftMs, int FailedStreams, int FailedPrompts, int UsableStreams);

/// <summary>Measures what long prompts do to requests that are already decoding: their worst gap between two tokens.</summary>
public sealed class IsolationRun(BenchSettings settings, BenchClient client, TimeProvider time, IsolationOptions options)
{
    /// <summary>Before the first round: a short stream and a long prompt, each <c>--warmup-requests</c> times, so that no round pays for the just-in-time compiler.</summary>
    /// <exception cref="BenchException">Nothing listens, or all of them failed; the message carries the server's words.</exception>
    public async Task WarmUpAsync(CancellationToken ct)
    {
        await Readiness.WaitAsync(settings, client, time, static _ => { }, ct);
        if (settings.WarmupRequests == 0) return;
        RequestBodyWriter bodies = settings.Bodies(settings.Model ?? "");
        Random random = new(~settings.Dataset.Seed);
        RunClock clock = new(time);
        RequestRecord[] all = [.. Enumerable.Range(0, settings.WarmupRequests).SelectMany(i => new[]
        {
            Record(i, options.StreamInputTokens, Math.Min(options.StreamOutputTokens, ServingRun.WarmupOutputTokens), random),
            Record(i, options.PromptTokens, 1, random),
        })];
        await Task.WhenAll(all.Select(record => client.SendAsync(bodies.Write(record.Request), record, clock, ct)));
        if (Array.Find(all, record => record.IsSuccess) is null)
            throw new BenchException($"Warmup failed: {client.Options.BaseUrl}: {all[0].Error!.Label}: {all[0].Error!.Message}. Check --base-url, --backend and the lengths.");
    }

    /// <exception cref="BenchException">No stream was still decoding when the long prompts came, so nothing was measured.</exception>
    public async Task<IsolationOutcome> RunAsync(CancellationToken ct)
    {
        RequestBodyWriter bodies = settings.Bodies(settings.Model ?? "");
        Random random = new(settings.Dataset.Seed);
        RunClock clock = new(time);
        RequestRecord[] streams = [.. Enumerable.Range(0, options.Streams).Select(i => Record(i, options.StreamInputTokens, options.StreamOutputTokens, random))];
        RequestRecord[] prompts = [.. Enumerable.Range(0, options.Prompts).Select(i => Record(i, options.PromptTokens, 1, random))];

        Task[] running = [.. streams.Select(record => client.SendAsync(bodies.Write(record.Request), record, clock, ct))];
        await WaitForFirstTokensAsync(streams, running, clock, ct);
        await Task.Delay(options.Quiet, time, ct);
        TimeSpan disturbedFrom = clock.Now;
        List<Task> arriving = [];
        for (int i = 0; i < prompts.Length; i++)
        {
            if (i > 0) await Task.Delay(options.PromptInterval, time, ct);
            arriving.Add(client.SendAsync(bodies.Write(prompts[i].Request), prompts[i], clock, ct));
        }
        await Task.WhenAll(arriving);
        TimeSpan disturbedTo = prompts.Max(record => record.EndedAt);
        await Task.WhenAll(running);
        return Outcome(streams, prompts, disturbedFrom, disturbedTo);
    }

    private static IsolationOutcome Outcome(RequestRecord[] streams, RequestRecord[] prompts, TimeSpan from, TimeSpan to)
    {
        RequestRecord[] usable = [.. streams.Where(record => record.IsSuccess && record.EndedAt > from)];
        RequestError? error = streams.Concat(prompts).FirstOrDefault(record => !record.IsSuccess)?.Error;
        if (usable.Length == 0)
        {
            throw new BenchException(error is null
                ? "Every stream had ended before the long prompts came. Raise --stream-output-len."
                : $"No stream can be used: {error.Label}: {error.Message}");
        }
        (TimeSpan Open, TimeSpan Close)[] gaps = [.. usable.SelectMany(record => record.ContentAt!.Zip(record.ContentAt!.Skip(1)))];
        return new IsolationOutcome(
            new Distribution(gaps.Where(gap => gap.Close <= from).Select(Length)),
            new Distribution(gaps.Where(gap => gap.Close > from && gap.Open < to).Select(Length)),
            new Distribution(prompts.Where(record => record.IsSuccess).Select(record => record.Ttft.TotalMilliseconds)),
            streams.Count(record => !record.IsSuccess), prompts.Count(record => !record.IsSuccess), usable.Length);

        static double Length((TimeSpan Open, TimeSpan Close) gap) => (gap.Close - gap.Open).TotalMilliseconds;
    }

    private async Task WaitForFirstTokensAsync(RequestRecord[] streams, Task[] running, RunClock clock, CancellationToken ct)
    {
        while (Array.Exists(streams, record => record.ContentAt!.Count == 0 && record.Error is null))
        {
            if (clock.Now > settings.RequestTimeout || Array.TrueForAll(running, task => task.IsCompleted)) return;
            await Task.Delay(TimeSpan.FromMilliseconds(5), time, ct);
        }
    }

    private RequestRecord Record(int index, int promptTokens, int outputTokens, Random random)
    {
        // Ids of their own for each request, so that no prefix cache shortens the prompts.
        int[] ids = new int[promptTokens];
        for (int i = 0; i < ids.Length; i++) ids[i] = random.Next(settings.Dataset.VocabSize);
        return new RequestRecord(index, new BenchRequest { TokenIds = ids, PromptTokens = promptTokens, OutputTokens = outputTokens }) { ContentAt = [] };
    }
}
