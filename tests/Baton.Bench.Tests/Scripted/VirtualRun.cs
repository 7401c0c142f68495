using Baton.Bench.Load;
using Baton.Bench.Runs;
using Baton.Simulation.Clock;

namespace Baton.Bench.Tests.Scripted;

/// <summary>Runs load against a scripted server in virtual time, on the test's own thread.</summary>
internal static class VirtualRun
{
    /// <summary>Moves the clock from timer to timer until the task ends.</summary>
    public static T Wait<T>(VirtualTimeProvider time, Func<Task<T>> start)
    {
        // xunit's context would move continuations to other threads, and virtual time would no longer be one story.
        SynchronizationContext? before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            Task<T> task = start();
            while (!task.IsCompleted)
            {
                // A cancelled Task.Delay continues on a pool thread, so the end of a timed-out request can be a moment away.
                if (time.NextDue is { } due) time.AdvanceTo(due);
                else if (!task.Wait(TimeSpan.FromSeconds(60))) throw new InvalidOperationException("nothing is due, and the run has not ended");
            }
            return task.GetAwaiter().GetResult();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    public static RequestRecord One(Script script, string backend = "sglang", bool stream = true, bool keepText = false, int timeoutMs = 60_000)
    {
        VirtualTimeProvider time = new();
        using BenchClient client = Client(new ScriptedServer(time, (_, _) => script), backend, stream, keepText, timeoutMs);
        RequestRecord record = new(0, new BenchRequest { Text = "hello", PromptTokens = 1, OutputTokens = 3 });
        return Wait(time, async () =>
        {
            await client.SendAsync("{}"u8.ToArray(), record, new RunClock(time), CancellationToken.None);
            return record;
        });
    }

    public static BenchClient Client(HttpMessageHandler server, string backend = "sglang", bool stream = true, bool keepText = false, int timeoutMs = 60_000) => new(
        new BenchClientOptions
        {
            Backend = BenchBackend.Parse(backend),
            BaseUrl = new Uri("http://server.test"),
            Stream = stream,
            KeepText = keepText,
            RequestTimeout = TimeSpan.FromMilliseconds(timeoutMs),
        },
        server);

    public static LoadResult Load(VirtualTimeProvider time, ScriptedServer server, int count, TimeSpan[] at, int? maxConcurrency = null)
    {
        using BenchClient client = Client(server);
        BenchRequest[] requests = [.. Enumerable.Range(0, count).Select(_ => new BenchRequest { Text = "hello", PromptTokens = 7, OutputTokens = 3 })];
        byte[][] bodies = [.. requests.Select(_ => "{}"u8.ToArray())];
        LoadRun run = new(client, new LoadOptions { MaxConcurrency = maxConcurrency, PacingSlack = TimeSpan.Zero });
        return Wait(time, () => run.RunAsync(requests, bodies, at, new RunClock(time), CancellationToken.None));
    }

    public static BenchOutcome Serve(VirtualTimeProvider time, ScriptedServer server, BenchSettings settings)
    {
        BenchSettings exact = settings with { PacingSlack = TimeSpan.Zero };
        using BenchClient client = new(exact.ClientOptions(), server);
        return Wait(time, () => new ServingRun(exact, client, time, new SilentObserver()).RunAsync(CancellationToken.None));
    }

    public static BenchSettings Settings(int prompts, string backend = "sglang") => new()
    {
        Backend = BenchBackend.Parse(backend),
        BaseUrl = new Uri("http://server.test"),
        ReadyTimeout = TimeSpan.Zero,
        Dataset = new() { Name = "random-ids", NumPrompts = prompts, RandomInputLen = 7, RandomOutputLen = 3, RandomRangeRatio = 1 },
    };

    internal sealed class SilentObserver : IBenchObserver
    {
        public void OnEnded(RequestRecord record)
        {
        }

        public void OnPhase(string what)
        {
        }

        public void OnRunStarting(int requests)
        {
        }
    }
}
