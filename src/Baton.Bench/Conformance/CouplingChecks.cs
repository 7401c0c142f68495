using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Baton.Bench.Conformance;

/// <summary>What one leg's end means for the other, and how soon.</summary>
internal static class CouplingChecks
{
    public static IEnumerable<ConformanceCheck> All =>
    [
        new("09", "prefill answers 400 while decode hangs", "the client gets 400 and decode's connection is closed, both within 50 ms", stage => SecondAsync(stage, PrefillRefusesAsync)),
        new("10", "prefill resets its connection", "decode's connection is closed within 50 ms; another prefill is tried with a new room", PrefillResetsAsync) { PrefillCount = 2 },
        new("11", "decode answers 503 once", "tried again with a new room; the client gets 200", DecodeBusyAsync),
        new("12", "decode's stream breaks after its first byte", "one error event, then [DONE]; no second attempt", DecodeBreaksAsync),
        new("16", "decode streams while prefill still runs", "the client has decode's first byte within 15 ms", StreamsAtOnceAsync),
        new("19", "a client that does not read", "decode is slowed down; the router keeps no more than its buffers", SlowClientAsync),
        new("20", "the client leaves", "decode's connection is closed within 50 ms; every credit comes back", stage => SecondAsync(stage, ClientLeavesAsync)),
    ];

    /// <summary>The first time warms the router's code and connections; the second one is judged.</summary>
    private static async Task<string> SecondAsync(ConformanceStage stage, Func<ConformanceStage, bool, Task<string>> once)
    {
        await once(stage, false);
        foreach (ScriptedWorker worker in stage.Prefill.Concat(stage.Decode)) worker.Seen.Clear();
        return await once(stage, true);
    }

    private static async Task<string> PrefillRefusesAsync(ConformanceStage stage, bool isJudged)
    {
        TaskCompletionSource<long> refused = New(), closed = New();
        stage.OnDecode(e => HangAsync(stage, e, closed));
        stage.OnPrefill(async e =>
        {
            await stage.UntilAsync(() => stage.DecodeLegs.Count == 1, "the decode leg arrived");
            refused.SetResult(stage.Now);
            await e.RespondAsync(400, """{"error":{"message":"the prompt is bad"}}""");
        });
        using HttpResponseMessage answer = await stage.PostAsync("/generate", """{"text":"a"}""");
        long answered = stage.Now;
        string text = await answer.Content.ReadAsStringAsync();
        ConformanceStage.Expect(answer.StatusCode == HttpStatusCode.BadRequest && text.Contains("the prompt is bad", StringComparison.Ordinal), $"{(int)answer.StatusCode}: {text}");
        long from = await stage.WhenAsync(refused.Task, "prefill refused");
        return Within(stage, isJudged, ("answer", stage.Milliseconds(from, answered)), ("decode closed", stage.Milliseconds(from, await stage.WhenAsync(closed.Task, "decode's connection was closed"))));
    }

    private static async Task<string> PrefillResetsAsync(ConformanceStage stage)
    {
        TaskCompletionSource<long> reset = New(), closed = New();
        (ScriptedWorker bad, ScriptedWorker good) = (stage.Prefill[0], stage.Prefill[1]);
        HashSet<long> badRooms = [];
        bad.OnRequest = async e =>
        {
            long room = Room(e);
            await stage.UntilAsync(() => stage.DecodeLegs.Any(d => Room(d) == room), "the decode leg arrived");
            lock (badRooms) badRooms.Add(room);
            reset.TrySetResult(stage.Now);
            e.Reset();
        };
        stage.OnDecode(e => ConformanceStage.Json(e.Text).GetProperty("bootstrap_port") is { ValueKind: JsonValueKind.Number } port && port.GetInt32() == good.Port ? ConformanceStage.Ok(e) : HangAsync(stage, e, closed));
        for (int i = 0; i < 50 && !reset.Task.IsCompleted; i++) await stage.AskAsync("/generate", """{"text":"a"}""");
        if (!reset.Task.IsCompleted) throw new NotApplicableException("50 requests went to one of two prefill workers only");
        long from = await reset.Task;
        ConformanceStage.Expect(!ConformanceStage.Legs(good).Any(e => badRooms.Contains(Room(e))), "a room was used again");
        return Within(stage, true, ("decode closed", stage.Milliseconds(from, await stage.WhenAsync(closed.Task, "decode's connection was closed"))));
    }

    private static async Task<string> DecodeBusyAsync(ConformanceStage stage)
    {
        int calls = 0;
        stage.OnDecode(e => Interlocked.Increment(ref calls) == 1 ? e.RespondAsync(503, """{"detail":"busy"}""") : ConformanceStage.Ok(e));
        await stage.AskAsync("/generate", """{"text":"a"}""");
        ConformanceStage.Expect(stage.DecodeLegs.Select(Room).Distinct().Count() == 2, $"{stage.DecodeLegs.Count} decode legs with {stage.DecodeLegs.Select(Room).Distinct().Count()} rooms");
        return "200 with a new room";
    }

    private static async Task<string> DecodeBreaksAsync(ConformanceStage stage)
    {
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            // The byte has to be out before the reset, or the router may see only the reset.
            await stage.UntilAsync(() => stage.PrefillLegs.Count > 0, "the prefill leg arrived");
            await stage.PauseAsync(TimeSpan.FromMilliseconds(20));
            e.Reset();
        });
        string text = await stage.AskAsync("/generate", """{"text":"a","stream":true}""");
        string[] events = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        ConformanceStage.Expect(stage.DecodeLegs.Count == 1, $"{stage.DecodeLegs.Count} attempts");
        ConformanceStage.Expect(events.Length == 3 && events[0] == "data: {\"text\":\"one\"}" && events[2] == "data: [DONE]", text);
        string? code = ConformanceStage.Json(events[1]["data: ".Length..]).GetProperty("error").GetProperty("code").GetString();
        return $"error event {code}";
    }

    private static async Task<string> StreamsAtOnceAsync(ConformanceStage stage)
    {
        TaskCompletionSource clientSaw = new(TaskCreationOptions.RunContinuationsAsynchronously);
        // The first request opens connections and warms the code; the second one is judged.
        await stage.AskAsync("/generate", """{"text":"a","stream":true}""");
        long sent = 0;
        stage.OnPrefill(async e =>
        {
            await clientSaw.Task.WaitAsync(stage.Settings.Patience);
            await ConformanceStage.Ok(e);
        });
        stage.OnDecode(async e =>
        {
            await e.StartStreamAsync();
            Volatile.Write(ref sent, stage.Now);
            await e.WriteChunkAsync("data: {\"text\":\"one\"}\n\n");
            await clientSaw.Task.WaitAsync(stage.Settings.Patience);
            await e.WriteChunkAsync("data: [DONE]\n\n");
            await e.EndStreamAsync();
        });
        try
        {
            using HttpResponseMessage answer = await stage.OpenAsync("/generate", """{"text":"a","stream":true}""");
            await using Stream stream = await answer.Content.ReadAsStreamAsync();
            int read = await stream.ReadAsync(new byte[64]).AsTask().WaitAsync(stage.Settings.Patience);
            double took = stage.Milliseconds(Volatile.Read(ref sent), stage.Now);
            ConformanceStage.Expect(read > 0, "the stream ended");
            ConformanceStage.Expect(took <= stage.Settings.FirstByteLimit.TotalMilliseconds, $"first byte after {ConformanceStage.Ms(took)}");
            return $"first byte after {ConformanceStage.Ms(took)}, prefill still running";
        }
        catch (TimeoutException)
        {
            throw new ConformanceException("the client gets nothing until prefill has answered");
        }
        finally
        {
            clientSaw.TrySetResult();
        }
    }

    /// <remarks>What decode could write is what lies in the router and in the sockets: those two of the kernel can grow to some megabytes.</remarks>
    private static async Task<string> SlowClientAsync(ConformanceStage stage)
    {
        const long limit = 48 << 20, more = 64 << 10;
        string line = $"data: {{\"text\":\"{new string('x', (int)more - 32)}\"}}\n\n";
        long written = 0;
        TaskCompletionSource<long> ended = New();
        stage.OnDecode(async e =>
        {
            try
            {
                await e.StartStreamAsync();
                while (Volatile.Read(ref written) <= limit)
                {
                    await e.WriteChunkAsync(line);
                    Interlocked.Add(ref written, line.Length);
                }
            }
            finally
            {
                ended.SetResult(stage.Now);
            }
        });
        using Socket client = new(SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 64 << 10 };
        Uri router = stage.Client.BaseAddress!;
        if (router.Scheme != "http") throw new NotApplicableException("speaks plain HTTP by hand");
        await client.ConnectAsync(router.Host, router.Port);
        const string body = """{"text":"a","stream":true}""";
        string key = stage.Client.DefaultRequestHeaders.Authorization is { } authorization ? $"Authorization: {authorization}\r\n" : "";
        await client.SendAsync(Encoding.ASCII.GetBytes($"POST /generate HTTP/1.1\r\nHost: {router.Authority}\r\n{key}Content-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}"));
        await stage.UntilAsync(() => Volatile.Read(ref written) > 0, "decode's stream began");
        long before = -1, now = 0;
        while (!ended.Task.IsCompleted && (now = Volatile.Read(ref written)) != before)
        {
            before = now;
            await stage.PauseAsync(TimeSpan.FromMilliseconds(500));
        }
        ConformanceStage.Expect(Volatile.Read(ref written) <= limit, $"decode wrote {limit >> 20} MiB and more for a client that read nothing");
        ConformanceStage.Expect(!ended.Task.IsCompleted, $"the stream was ended after {now >> 10} KiB");
        client.Close(0);
        await stage.WhenAsync(ended.Task, "decode's connection was closed when the client left");
        return $"decode was stopped after {now >> 10} KiB";
    }

    private static async Task<string> ClientLeavesAsync(ConformanceStage stage, bool isJudged)
    {
        TaskCompletionSource<long> closed = New();
        stage.OnPrefill(e => HangAsync(stage, e, New()));
        stage.OnDecode(e => HangAsync(stage, e, closed));
        using CancellationTokenSource leave = new();
        Task<HttpResponseMessage> asked = stage.PostAsync("/generate", """{"text":"a"}""", leave.Token);
        await stage.UntilAsync(() => stage.DecodeLegs.Count == 1 && stage.PrefillLegs.Count == 1, "both legs arrived");
        long left = stage.Now;
        await leave.CancelAsync();
        string seen = Within(stage, isJudged, ("decode closed", stage.Milliseconds(left, await stage.WhenAsync(closed.Task, "decode's connection was closed"))));
        try
        {
            (await asked).Dispose();
        }
        catch (OperationCanceledException)
        {
            // We left.
        }
        if (!stage.HasAdmin) return seen;
        long began = stage.Now;
        while (await stage.CreditsAsync() is var credits && credits != 0)
        {
            ConformanceStage.Expect(stage.Since(began) < stage.Settings.Patience, $"{credits} credits were not returned");
            await stage.PauseAsync(TimeSpan.FromMilliseconds(10));
        }
        return seen + "; credits 0";
    }

    private static async Task HangAsync(ConformanceStage stage, ScriptedExchange exchange, TaskCompletionSource<long> closed)
    {
        await exchange.HangAsync();
        closed.TrySetResult(stage.Now);
    }

    private static string Within(ConformanceStage stage, bool isJudged, params (string What, double Ms)[] times)
    {
        string seen = string.Join(", ", times.Select(t => $"{t.What} after {ConformanceStage.Ms(t.Ms)}"));
        ConformanceStage.Expect(!isJudged || times.All(t => t.Ms <= stage.Settings.CouplingLimit.TotalMilliseconds), seen);
        return seen;
    }

    private static long Room(ScriptedExchange leg) => ConformanceStage.Json(leg.Text).GetProperty("bootstrap_room").GetInt64();

    private static TaskCompletionSource<long> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
