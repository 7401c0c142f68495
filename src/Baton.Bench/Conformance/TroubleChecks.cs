using System.Net;

namespace Baton.Bench.Conformance;

/// <summary>Breakers, panic, and connections that went stale.</summary>
internal static class TroubleChecks
{
    private const int BreakerTries = 300;
    private const int Quiet = 20;
    private const int Burst = 12;

    public static IEnumerable<ConformanceCheck> All =>
    [
        new("13", "a hundred answers of 422", "every one passed through; the worker stays in use", ClientErrorsAsync),
        new("14", "a decode worker that fails and recovers", "left alone once its breaker opens; then one probe at a time; then back in use", BreakerAsync) { DecodeCount = 2 },
        new("15", "every breaker of a role is open, health checks pass", "a request is tried all the same", PanicAsync),
        new("26", "a kept connection that the worker closed in the meantime", "replaced unseen: the client gets 200", StaleAsync),
    ];

    private static async Task<string> ClientErrorsAsync(ConformanceStage stage)
    {
        stage.OnDecode(e => e.RespondAsync(422, """{"error":{"message":"no"}}"""));
        for (int i = 0; i < 100; i++)
        {
            using HttpResponseMessage answer = await stage.PostAsync("/generate", """{"text":"a"}""");
            ConformanceStage.Expect((int)answer.StatusCode == 422, $"request {i} was answered {(int)answer.StatusCode}");
        }
        ConformanceStage.Expect(stage.DecodeLegs.Count == 100, $"{stage.DecodeLegs.Count} decode legs for 100 requests");
        stage.OnDecode(ConformanceStage.Ok);
        await stage.AskAsync("/generate", """{"text":"a"}""");
        return "100 times 422, then 200";
    }

    private static async Task<string> BreakerAsync(ConformanceStage stage)
    {
        (ScriptedWorker bad, ScriptedWorker good) = (stage.Decode[0], stage.Decode[1]);
        bad.OnRequest = e => e.RespondAsync(500, """{"detail":"broken"}""");
        int quiet = 0, tries = 0;
        for (; quiet < Quiet && tries < BreakerTries; tries++)
        {
            int before = bad.Seen.Count;
            (await stage.PostAsync("/generate", """{"text":"a"}""")).Dispose();
            quiet = bad.Seen.Count == before ? quiet + 1 : 0;
        }
        ConformanceStage.Expect(quiet == Quiet, $"after {bad.Seen.Count} failures in {tries} requests it is still in use");
        int failures = bad.Seen.Count;
        if (failures == 0) throw new NotApplicableException("no request went to the second decode worker");

        await stage.PauseAsync(stage.Settings.BreakerOpenTime + TimeSpan.FromMilliseconds(100));
        TaskCompletionSource go = new(TaskCreationOptions.RunContinuationsAsynchronously);
        bad.OnRequest = async e =>
        {
            await go.Task.WaitAsync(stage.Settings.Patience);
            await ConformanceStage.Ok(e);
        };
        int beforeProbe = bad.Seen.Count, answered = good.Seen.Count;
        List<Task> asked = [];
        // Bursts until the router tries the worker again; every other request of a burst has to go elsewhere.
        for (int burst = 0; burst < 5 && bad.Seen.Count == beforeProbe; burst++)
        {
            for (int i = 0; i < Burst; i++) asked.Add(DropAsync(stage.PostAsync("/generate", """{"text":"a"}""")));
            await stage.UntilAsync(() => bad.Seen.Count - beforeProbe + (good.Seen.Count - answered) >= asked.Count, "every request of the burst has arrived");
        }
        int probes = bad.Seen.Count - beforeProbe;
        go.SetResult();
        await Task.WhenAll(asked);
        ConformanceStage.Expect(probes > 0, $"{stage.Settings.BreakerOpenTime.TotalSeconds} s after it opened no request goes there");
        ConformanceStage.Expect(probes == 1, $"{probes} requests at once to a worker under probation");

        bad.OnRequest = ConformanceStage.Ok;
        int beforeBack = bad.Seen.Count;
        for (int i = 0; i < BreakerTries && bad.Seen.Count < beforeBack + 5; i++) await stage.AskAsync("/generate", """{"text":"a"}""");
        ConformanceStage.Expect(bad.Seen.Count >= beforeBack + 5, "it was not taken back into use");
        return $"open after {failures} failures, one probe, back in use";
    }

    private static async Task<string> PanicAsync(ConformanceStage stage)
    {
        stage.OnDecode(e => e.RespondAsync(500, """{"detail":"broken"}"""));
        for (int i = 0; i < 30; i++)
        {
            using HttpResponseMessage answer = await stage.PostAsync("/generate", """{"text":"a"}""");
            ConformanceStage.Expect((int)answer.StatusCode >= 500, $"a broken fleet answers {(int)answer.StatusCode}");
        }
        stage.OnDecode(ConformanceStage.Ok);
        using HttpResponseMessage again = await stage.PostAsync("/generate", """{"text":"a"}""");
        ConformanceStage.Expect(again.StatusCode == HttpStatusCode.OK, $"{(int)again.StatusCode} although the worker is healthy again: {await again.Content.ReadAsStringAsync()}");
        return "200 at once";
    }

    private static async Task<string> StaleAsync(ConformanceStage stage)
    {
        await stage.AskAsync("/generate", """{"text":"a"}""");
        for (int i = 0; i < 5; i++)
        {
            // The next leg on each kept connection is met by a close before any answer, as an idle time-out on the worker does.
            stage.Prefill[0].CloseNextUnanswered = stage.Decode[0].CloseNextUnanswered = true;
            await stage.AskAsync("/generate", """{"text":"a"}""");
        }
        ConformanceStage.Expect(stage.DecodeLegs.Count == 6, $"{stage.DecodeLegs.Count} decode legs for six requests");
        return "five times 200";
    }

    private static async Task DropAsync(Task<HttpResponseMessage> asked) => (await asked).Dispose();
}
