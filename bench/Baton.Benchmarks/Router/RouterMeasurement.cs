using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Bodies;
using Baton.Router.Http;
using Baton.Router.Workers;

namespace Baton.Benchmarks.Router;

/// <summary>What the router costs: latency beside a direct call to the same worker, saturated requests/s, the body split, allocations.</summary>
internal static class RouterMeasurement
{
    public const string Name = "router";
    private const int Rate = 500;
    private const int Connections = 16;
    private const int WarmUpSeconds = 2;

    public static async Task<int> RunAsync(string[] args)
    {
        double seconds = args.Length > 0 ? double.Parse(args[0]) : 6;
        // As baton router does. The direct call gains by it as well.
        InlineSockets.Enable();
        using TrivialWorker prefill = new(), decode = new();
        using TcpRelay relay = new(decode.Port);
        await using RouterServer server = new(
            new RouterOptions { Host = "127.0.0.1", Port = 0, LoadInterval = TimeSpan.Zero, HealthCheckInterval = TimeSpan.FromSeconds(60) },
            [new WorkerSpec { Url = prefill.Url, Role = WorkerRole.Prefill }, new WorkerSpec { Url = decode.Url, Role = WorkerRole.Decode }], TimeProvider.System, seed: 1);
        await server.StartAsync(CancellationToken.None);
        if ((await server.WaitUntilReadyAsync(TimeSpan.FromSeconds(10), CancellationToken.None)).Count > 0) throw new InvalidOperationException("The trivial workers did not become ready.");

        List<object> rows = [];
        foreach ((int bytes, bool stream) in new[] { (1024, false), (1024, true), (32 * 1024, false), (32 * 1024, true) })
        {
            string body = Body(bytes, stream);
            // Until the code is compiled for good: what is measured is a router that has been up for a while.
            foreach (int port in new[] { decode.Port, relay.Port, server.Url.Port }) await SaturateAsync(port, body, WarmUpSeconds);
            await OpenLoopAsync(server.Url.Port, body, 1);
            Latencies direct = await OpenLoopAsync(decode.Port, body, seconds), relayed = await OpenLoopAsync(relay.Port, body, seconds), routed = await OpenLoopAsync(server.Url.Port, body, seconds);
            (double directRate, double directAllocated) = await SaturateAsync(decode.Port, body, seconds / 2);
            (double routedRate, double routedAllocated) = await SaturateAsync(server.Url.Port, body, seconds / 2);
            var row = new
            {
                body_bytes = bytes,
                stream,
                direct_p50_us = direct.P50,
                direct_p99_us = direct.P99,
                routed_p50_us = routed.P50,
                routed_p99_us = routed.P99,
                // What any further hop costs on this machine: bytes copied through one more pair of sockets.
                relay_added_p50_us = Math.Round(relayed.P50 - direct.P50, 1),
                relay_added_p99_us = Math.Round(relayed.P99 - direct.P99, 1),
                added_p50_us = Math.Round(routed.P50 - direct.P50, 1),
                added_p99_us = Math.Round(routed.P99 - direct.P99, 1),
                direct_saturated_rps = Math.Round(directRate),
                routed_saturated_rps = Math.Round(routedRate),
                ratio = Math.Round(routedRate / directRate, 3),
                allocated_bytes_per_request = Math.Round(routedAllocated - directAllocated),
            };
            rows.Add(row);
            Console.WriteLine(row);
        }
        var split = SplitBody();
        Console.WriteLine(split);
        ResultFile.Write(Name, $"dotnet run -c Release --project bench/Baton.Benchmarks -- {Name} {seconds}", new { rate_rps = Rate, connections = Connections, rows, split });
        return 0;
    }

    private readonly record struct Latencies(double P50, double P99);

    /// <summary>Requests at fixed times whatever the answers do; one that finds no free connection waits for it on the clock.</summary>
    /// <remarks>
    /// A thread that sleeps, not timers: those go by a clock of 4 ms steps and would send two at once every 4 ms, which measures how two
    /// requests share two cores.
    /// </remarks>
    private static async Task<Latencies> OpenLoopAsync(int port, string body, double seconds)
    {
        int total = (int)(Rate * seconds);
        double[] micros = new double[total];
        Task[] asked = new Task[total];
        using BlockingCollection<RawClient> idle = [];
        for (int i = 0; i < Connections; i++) idle.Add(await RawClient.ConnectAsync(port, body));
        // Whoever asks for the figure may be on a thread that serves sockets, so nobody waits for the pace by blocking.
        TaskCompletionSource allSent = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Thread pace = new(() =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < total; i++)
            {
                while (Stopwatch.GetElapsedTime(start).TotalSeconds * Rate < i) Thread.Sleep(1);
                long began = Stopwatch.GetTimestamp();
                asked[i] = AskAsync(idle.Take(), i, began);
            }
            allSent.SetResult();
        });
        pace.Start();
        await allSent.Task;
        await Task.WhenAll(asked);
        foreach (RawClient client in idle) client.Dispose();
        Array.Sort(micros);
        return new Latencies(Math.Round(micros[total / 2], 1), Math.Round(micros[(int)(total * 0.99)], 1));

        async Task AskAsync(RawClient client, int i, long began)
        {
            await client.AskAsync();
            micros[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            idle.Add(client);
        }
    }

    private static async Task<(double Rate, double AllocatedPerRequest)> SaturateAsync(int port, string body, double seconds)
    {
        long done = 0;
        long start = Stopwatch.GetTimestamp();
        long allocated = GC.GetTotalAllocatedBytes();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(async _ =>
        {
            using RawClient client = await RawClient.ConnectAsync(port, body);
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                await client.AskAsync();
                Interlocked.Increment(ref done);
            }
        }));
        return (done / Stopwatch.GetElapsedTime(start).TotalSeconds, (double)(GC.GetTotalAllocatedBytes() - allocated) / done);
    }

    /// <summary>Reading an 8 KiB body and writing both legs from it.</summary>
    private static object SplitBody()
    {
        const int rounds = 20_000;
        byte[] chat = Encoding.UTF8.GetBytes(Chat(8 * 1024));
        PairingFields pairing = new("127.0.0.1", 8998, [1L << 62], false);
        for (int i = 0; i < rounds; i++) Once();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < rounds; i++) Once();
        double micros = Stopwatch.GetElapsedTime(start).TotalMicroseconds / rounds;
        return new { body_bytes = chat.Length, split_us = Math.Round(micros, 2), allocated_bytes = (GC.GetAllocatedBytesForCurrentThread() - allocated) / rounds };

        void Once()
        {
            ClientBody body = ClientBodyReader.Read(chat, DataEndpoint.Chat);
            LegBody.Write(body, null, pairing, 1, null).Dispose();
            LegBody.Write(body, null, pairing, 0, 1).Dispose();
        }
    }

    private static string Body(int bytes, bool stream)
    {
        string frame = $$$"""{"text":"","stream":{{{(stream ? "true" : "false")}}},"sampling_params":{"max_new_tokens":16,"temperature":0}}""";
        return frame.Replace("\"text\":\"\"", $"\"text\":\"{new string('a', Math.Max(1, bytes - frame.Length))}\"", StringComparison.Ordinal);
    }

    private static string Chat(int bytes)
    {
        StringBuilder messages = new();
        for (int i = 0; messages.Length < bytes - 200; i++) messages.Append($$"""{"role":"{{(i % 2 == 0 ? "user" : "assistant")}}","content":"Message number {{i}} of a conversation, long enough to be one."},""");
        return $$"""{"model":"demo","messages":[{{messages.ToString().TrimEnd(',')}}],"temperature":0.7,"max_tokens":128,"stream":true,"user":"u"}""";
    }
}
