using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Baton.Bench.Figures;
using Baton.Bench.Load;

namespace Baton.Benchmarks;

/// <summary>How many requests a second the load generator can make of one core, against a responder that does nothing on the other.</summary>
/// <remarks>
/// Baselines of the same run: a raw socket loop (the floor that the kernel sets) and HttpMessageInvoker without measuring (what the HTTP
/// stack costs). Each side is a process pinned to a core of its own.
/// </remarks>
public static class LoadGenBenchmark
{
    private const int Connections = 32;
    private const int Rounds = 5;
    // About what a bench against a few workers sends; a second of it.
    private const int PaceRate = 100;
    private static readonly byte[] RequestBody = """{"input_ids":[1,2,3,4],"sampling_params":{"temperature":0,"max_new_tokens":1,"ignore_eos":true},"stream":true}"""u8.ToArray();
    private static readonly byte[] Response = BuildResponse();

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is ["responder"]) return await RespondAsync();
        int count = int.Parse(args.LastOrDefault() ?? "40000");
        if (args is not ["generator", ..])
        {
            using Process generator = StartOnCore(0, redirect: false, "generator", count.ToString());
            await generator.WaitForExitAsync();
            return generator.ExitCode;
        }
        using Process responder = StartOnCore(1, redirect: true, "responder");
        int port = int.Parse(responder.StandardOutput.ReadLine()!);
        try
        {
            Uri url = new($"http://127.0.0.1:{port}/");
            List<double> raw = [], bare = [], measured = [], open = [];
            List<Pace> yielding = [], timersOnly = [];
            // Interleaved, so that what else runs on this machine hits all alike; the first round warms up.
            for (int round = 0; round <= Rounds; round++)
            {
                double rawRate = await RawAsync(port, count);
                double bareRate = await BareAsync(url, count);
                double measuredRate = (await LoadAsync(url, count, double.PositiveInfinity, Connections)).Rate;
                (double openRate, Distribution late) = await LoadAsync(url, count / 4, 2_000, null);
                Pace with = await PaceAsync(url, new LoadOptions().PacingSlack), without = await PaceAsync(url, TimeSpan.Zero);
                Console.WriteLine($"round {round}: raw {rawRate:F0}/s  HttpMessageInvoker {bareRate:F0}/s  baton bench {measuredRate:F0}/s  open loop at 2000/s: {openRate:F0}/s, lateness p99 {late.Percentile(99):F3} ms; at {PaceRate}/s yielding {with.LatenessP99Ms:F3} ms, {with.CoreShare:P1} of the core, timers only {without.LatenessP99Ms:F3} ms, {without.CoreShare:P1}");
                if (round == 0) continue;
                raw.Add(rawRate);
                bare.Add(bareRate);
                measured.Add(measuredRate);
                open.Add(late.Percentile(99));
                yielding.Add(with);
                timersOnly.Add(without);
            }
            object figures = new
            {
                load_average = BatonStack.LoadAverage(),
                requests = count,
                connections = Connections,
                raw_socket_per_s = new Distribution(raw).Median,
                http_message_invoker_per_s = new Distribution(bare).Median,
                baton_bench_per_s = new Distribution(measured).Median,
                baton_bench_best_per_s = measured.Max(),
                baton_bench_over_http_message_invoker = new Distribution(measured.Zip(bare, (mine, theirs) => mine / theirs)).Median,
                baton_bench_over_raw_socket = new Distribution(measured.Zip(raw, (mine, theirs) => mine / theirs)).Median,
                open_loop_2000_per_s_lateness_p99_ms = new Distribution(open).Median,
                pace_per_s = PaceRate,
                pace_yielding_the_last_ms = new LoadOptions().PacingSlack.TotalMilliseconds,
                pace_yielding_lateness_p99_ms = new Distribution(yielding.Select(pace => pace.LatenessP99Ms)).Median,
                pace_yielding_core_share = new Distribution(yielding.Select(pace => pace.CoreShare)).Median,
                pace_timers_only_lateness_p99_ms = new Distribution(timersOnly.Select(pace => pace.LatenessP99Ms)).Median,
                pace_timers_only_core_share = new Distribution(timersOnly.Select(pace => pace.CoreShare)).Median,
                target_per_s = 20_000,
            };
            ResultFile.Write("loadgen", $"dotnet run -c Release --project bench/Baton.Benchmarks -- loadgen {count}", figures);
            return 0;
        }
        finally
        {
            responder.Kill();
            await responder.WaitForExitAsync();
        }
    }

    private readonly record struct Pace(double LatenessP99Ms, double CoreShare);

    /// <summary>What the yielding before each send buys, and what it costs of the core.</summary>
    private static async Task<Pace> PaceAsync(Uri url, TimeSpan slack)
    {
        using Process self = Process.GetCurrentProcess();
        (TimeSpan before, long start) = (self.TotalProcessorTime, Stopwatch.GetTimestamp());
        (_, Distribution late) = await LoadAsync(url, PaceRate, PaceRate, null, slack);
        self.Refresh();
        return new Pace(late.Percentile(99), (self.TotalProcessorTime - before) / Stopwatch.GetElapsedTime(start));
    }

    private static async Task<(double Rate, Distribution Lateness)> LoadAsync(Uri url, int count, double rate, int? concurrency, TimeSpan? slack = null)
    {
        using BenchClient client = new(new BenchClientOptions { Backend = BenchBackend.Parse("baton"), BaseUrl = url }, BenchClient.CreateHandler());
        BenchRequest request = new() { TokenIds = [1, 2, 3, 4], PromptTokens = 4, OutputTokens = 1 };
        BenchRequest[] requests = new BenchRequest[count];
        byte[][] bodies = new byte[count][];
        Array.Fill(requests, request);
        Array.Fill(bodies, RequestBody);
        LoadRun run = new(client, new LoadOptions { MaxConcurrency = concurrency, PacingSlack = slack ?? new LoadOptions().PacingSlack });
        TimeSpan[] arrivals = ArrivalSchedule.Poisson(count, rate, new Random(1));
        LoadResult result = await run.RunAsync(requests, bodies, arrivals, new RunClock(TimeProvider.System), CancellationToken.None);
        RequestRecord? failed = result.Records.FirstOrDefault(record => !record.IsSuccess);
        if (failed is not null) throw new InvalidOperationException($"request {failed.Index}: {failed.Error!.Label}: {failed.Error.Message}");
        return (count / result.Duration.TotalSeconds, new Distribution(result.Records.Select(record => record.Lateness.TotalMilliseconds)));
    }

    private static async Task<double> BareAsync(Uri url, int count)
    {
        using HttpMessageInvoker http = new(BenchClient.CreateHandler());
        Uri target = new(url, "/generate");
        return await TimedAsync(count, async each =>
        {
            byte[] buffer = new byte[8192];
            for (int i = 0; i < each; i++)
            {
                using HttpRequestMessage request = new(HttpMethod.Post, target) { Content = new ReadOnlyMemoryContent(RequestBody) };
                using HttpResponseMessage response = await http.SendAsync(request, CancellationToken.None);
                Stream body = await response.Content.ReadAsStreamAsync();
                while (await body.ReadAsync(buffer) > 0)
                {
                }
            }
        });
    }

    private static async Task<double> RawAsync(int port, int count)
    {
        byte[] request = Encoding.ASCII.GetBytes($"POST /generate HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {RequestBody.Length}\r\n\r\n").Concat(RequestBody).ToArray();
        return await TimedAsync(count, async each =>
        {
            using Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await socket.ConnectAsync(IPAddress.Loopback, port);
            byte[] buffer = new byte[8192];
            for (int i = 0; i < each; i++)
            {
                await socket.SendAsync(request);
                int got = 0;
                while (got < Response.Length) got += await socket.ReceiveAsync(buffer);
            }
        });
    }

    private static async Task<double> TimedAsync(int count, Func<int, Task> connection)
    {
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(_ => connection(count / Connections)));
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>This program once more, with every thread on one core from its start (ProcessorAffinity would leave the runtime's own threads out).</summary>
    private static Process StartOnCore(int core, bool redirect, params string[] args)
    {
        ProcessStartInfo start = new("taskset") { UseShellExecute = false, RedirectStandardOutput = redirect, RedirectStandardInput = redirect };
        foreach (string argument in new[] { "-c", (core % Environment.ProcessorCount).ToString(), Environment.ProcessPath! }) start.ArgumentList.Add(argument);
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(LoadGenBenchmark).Assembly.Location);
        start.ArgumentList.Add("loadgen");
        foreach (string argument in args) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static async Task<int> RespondAsync()
    {
        using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1024);
        Console.WriteLine(((IPEndPoint)listener.LocalEndPoint!).Port);
        // Ends with its parent: standard input closes.
        _ = Task.Run(() =>
        {
            _ = Console.In.Read();
            Environment.Exit(0);
        });
        while (true) _ = AnswerAsync(await listener.AcceptAsync());
    }

    /// <summary>A request is complete with its body's last brace and newline-free end; each is answered with the same bytes.</summary>
    private static async Task AnswerAsync(Socket socket)
    {
        using Socket owned = socket;
        socket.NoDelay = true;
        byte[] buffer = new byte[16384];
        int held = 0;
        while (true)
        {
            int read = await socket.ReceiveAsync(buffer.AsMemory(held));
            if (read == 0) return;
            held += read;
            int head = buffer.AsSpan(0, held).IndexOf("\r\n\r\n"u8);
            if (head < 0 || held < head + 4 + RequestBody.Length) continue;
            held = 0;
            await socket.SendAsync(Response);
        }
    }

    private static byte[] BuildResponse()
    {
        string body = """data: {"text":"a","meta_info":{"id":"r","finish_reason":{"type":"length","length":1},"prompt_tokens":4,"completion_tokens":1,"dp_rank":0}}""" + "\n\ndata: [DONE]\n\n";
        return Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {body.Length}\r\n\r\n{body}");
    }
}
