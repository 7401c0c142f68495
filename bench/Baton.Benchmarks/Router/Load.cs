using System.Collections.Concurrent;
using System.Diagnostics;

namespace Baton.Benchmarks.Router;

/// <summary>Two kinds of load, each on connections of its own.</summary>
internal static class Load
{
    public const int Connections = 16;

    /// <summary>Requests at fixed times whatever the answers do; one that finds no free connection waits for it on the clock.</summary>
    /// <remarks>
    /// A thread that sleeps, not timers: those go by a clock of 4 ms steps and would send two at once every 4 ms, which measures how two
    /// requests share two cores.
    /// </remarks>
    public static async Task<double[]> OpenLoopAsync(int port, string body, int rate, double seconds)
    {
        int total = (int)(rate * seconds);
        double[] micros = new double[total];
        Task[] asked = new Task[total];
        using BlockingCollection<RawClient> idle = [];
        for (int i = 0; i < Connections; i++)
        {
            RawClient client = await RawClient.ConnectAsync(port, body);
            await client.AskAsync();
            idle.Add(client);
        }
        // Whoever asks for the figure may be on a thread that serves sockets, so nobody waits for the pace by blocking.
        TaskCompletionSource allSent = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Thread pace = new(() =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < total; i++)
            {
                while (Stopwatch.GetElapsedTime(start).TotalSeconds * rate < i) Thread.Sleep(1);
                long began = Stopwatch.GetTimestamp();
                asked[i] = AskAsync(idle.Take(), i, began);
            }
            allSent.SetResult();
        });
        pace.Start();
        await allSent.Task;
        await Task.WhenAll(asked);
        foreach (RawClient client in idle) client.Dispose();
        return micros;

        async Task AskAsync(RawClient client, int i, long began)
        {
            await client.AskAsync();
            micros[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            idle.Add(client);
        }
    }

    /// <summary>As many requests as the connections can do.</summary>
    public static async Task<int> SaturateAsync(int port, string body, double seconds)
    {
        int done = 0;
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(async _ =>
        {
            using RawClient client = await RawClient.ConnectAsync(port, body);
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                await client.AskAsync();
                Interlocked.Increment(ref done);
            }
        }));
        return done;
    }
}
