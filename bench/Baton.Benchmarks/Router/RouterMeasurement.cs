using System.Diagnostics;
using System.Text;
using Baton.Router.Bodies;
using Baton.Router.Http;

namespace Baton.Benchmarks.Router;

/// <summary>What the router costs: latency beside a direct call to the same worker, saturated requests/s, the body split, allocations.</summary>
/// <remarks>
/// Client, router and workers share this process and its socket threads, the direct call's as well as the routed one's. All targets take
/// turns in rounds, so that what the machine does meanwhile happens to each of them.
/// </remarks>
internal static class RouterMeasurement
{
    public const string Name = "router";
    private const int Rate = 500;
    private const double WarmUpSeconds = 2;
    private const int Rounds = 24;

    public static async Task<int> RunAsync(string[] args)
    {
        double seconds = args.Length > 0 ? double.Parse(args[0]) : 6;
        // As baton router does. The direct call gains by it as well.
        InlineSockets.Enable();
        List<object> rows = [];
        foreach ((int bytes, bool stream) in new[] { (1024, false), (1024, true), (32 * 1024, false), (32 * 1024, true) })
        {
            await using Target direct = Target.Direct(), relayed = Target.Relayed(), routed = Target.Routed();
            await MeasureAsync(Body(bytes, stream), seconds, direct, relayed, routed);
            Target.Figures d = direct.Read(), r = routed.Read(), hop = relayed.Read();
            var row = new
            {
                body_bytes = bytes,
                stream,
                idle = Added(d.Idle, hop.Idle, r.Idle),
                awake = Added(d.Awake, hop.Awake, r.Awake),
                direct_saturated_rps = Math.Round(d.SaturatedRate),
                routed_saturated_rps = Math.Round(r.SaturatedRate),
                ratio = Math.Round(r.SaturatedRate / d.SaturatedRate, 3),
                processor_us_per_request = Math.Round(r.ProcessorMicros - d.ProcessorMicros, 1),
                allocated_bytes_per_request = Math.Round(r.Allocated - d.Allocated),
            };
            rows.Add(row);
            Console.WriteLine(row);
        }
        var split = SplitBody();
        Console.WriteLine(split);
        ResultFile.Write(Name, $"dotnet run -c Release --project bench/Baton.Benchmarks -- {Name} {seconds}", new { rate_rps = Rate, connections = Load.Connections, rounds = Rounds, rows, split });
        return 0;
    }

    /// <param name="seconds">Of requests at a fixed rate for each target, half as long without pauses, and once more at the rate on cores that are kept awake.</param>
    private static async Task MeasureAsync(string body, double seconds, params Target[] targets)
    {
        foreach (Target target in targets) await target.WarmUpAsync(body, WarmUpSeconds);
        for (int round = 0; round < Rounds; round++)
            foreach (Target target in targets) await target.MeasureAsync(body, Rate, seconds / Rounds, round);
        using AwakeCores awake = AwakeCores.Start();
        for (int round = 0; round < Rounds; round++)
            foreach (Target target in targets) await target.MeasureAwakeAsync(body, Rate, seconds / Rounds, round);
    }

    private static object Added(Target.Latency direct, Target.Latency relayed, Target.Latency routed) => new
    {
        direct_p50_us = Math.Round(direct.P50, 1),
        direct_p99_us = Math.Round(direct.P99, 1),
        routed_p50_us = Math.Round(routed.P50, 1),
        routed_p99_us = Math.Round(routed.P99, 1),
        // What any further hop costs on this machine: bytes copied through one more pair of sockets.
        relay_added_p50_us = Math.Round(relayed.P50 - direct.P50, 1),
        relay_added_p99_us = Math.Round(relayed.P99 - direct.P99, 1),
        added_p50_us = Math.Round(routed.P50 - direct.P50, 1),
        added_p99_us = Math.Round(routed.P99 - direct.P99, 1),
    };

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
