using Baton.Router.Tests.Http;
using Baton.Router.Trouble;

namespace Baton.Router.Tests.Forwarding;

/// <summary><c>--sse-heartbeat-secs</c> on a virtual clock.</summary>
public sealed class HeartbeatTests
{
    private const string Comment = ": keep-alive\n\n";
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(15);
    private static readonly RouterOptions Beating = new() { SseHeartbeat = Interval, Retry = new RetryOptions { InitialBackoff = TimeSpan.FromSeconds(1), Jitter = 0 } };

    /// <summary>Moves the clock once a timer for that moment is set, and waits for what it brings.</summary>
    private static async Task BeatAsync(ForwarderHarness harness, int comments)
    {
        TimeSpan due = Interval * comments;
        await RouterHarness.Until(() => harness.Time.NextDue <= due, "the next comment is planned");
        harness.Time.AdvanceTo(due);
        await RouterHarness.Until(() => harness.Reply.Text.Split(": keep-alive").Length > comments, "the comment was sent");
    }

    [Fact]
    public async Task Comments_go_out_until_the_first_byte_and_never_after_it()
    {
        FakeResponse decode = new();
        using ForwarderHarness harness = new(Beating, _ => decode);
        Task forwarded = harness.ForwardAsync("""{"text":"a","stream":true}""");

        harness.Time.AdvanceTo(Interval - TimeSpan.FromTicks(1));
        Assert.Equal("", harness.Reply.Text);
        await BeatAsync(harness, 1);
        await BeatAsync(harness, 2);
        decode.Events("1");
        await RouterHarness.Until(() => harness.Reply.Text.Contains("data: 1", StringComparison.Ordinal), "the first byte is there");
        harness.Time.AdvanceTo(Interval * 5);
        decode.Events("[DONE]").End();
        await forwarded;

        Assert.Equal(Comment + Comment + "data: 1\n\ndata: [DONE]\n\n", harness.Reply.Text);
        Assert.Equal(200, harness.Reply.Status);
        Assert.Contains(new("content-type", "text/event-stream"), harness.Reply.Headers);
        Assert.Contains(new("x-request-id", "r1"), harness.Reply.Headers);
    }

    [Fact]
    public async Task A_stream_that_is_quick_enough_is_as_it_is_without_comments()
    {
        using ForwarderHarness harness = new(Beating, _ => new FakeResponse().Events("1", "[DONE]").End());

        await harness.ForwardAsync("""{"text":"a","stream":true}""");

        Assert.Equal("data: 1\n\ndata: [DONE]\n\n", harness.Reply.Text);
        Assert.Contains(new("cache-control", "no-cache"), harness.Reply.Headers);
    }

    [Fact]
    public async Task An_attempt_that_fails_after_a_comment_is_still_repeated()
    {
        FakeResponse first = new();
        int calls = 0;
        using ForwarderHarness harness = new(Beating, _ => Interlocked.Increment(ref calls) == 1 ? first : new FakeResponse().Events("2", "[DONE]").End());
        Task forwarded = harness.ForwardAsync("""{"text":"a","stream":true}""");
        await BeatAsync(harness, 1);

        first.Break();
        await harness.FinishAsync(forwarded, within: TimeSpan.FromSeconds(2));

        Assert.Equal(Comment + "data: 2\n\ndata: [DONE]\n\n", harness.Reply.Text);
        Assert.Equal(2, calls);
    }

    [Theory]
    [InlineData(false, 400)]
    [InlineData(true, 200)]
    public async Task An_error_is_a_status_before_the_first_comment_and_an_event_after_it(bool commented, int status)
    {
        FakeResponse decode = new(400);
        using ForwarderHarness harness = new(Beating, _ => decode);
        Task forwarded = harness.ForwardAsync("""{"text":"a","stream":true}""");
        if (commented) await BeatAsync(harness, 1);

        decode.Say("""{"error":{"message":"no"}}""").End();
        await forwarded.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(status, harness.Reply.Status);
        Assert.StartsWith(commented ? Comment + "data: {\"error\"" : "{\"error\"", harness.Reply.Text, StringComparison.Ordinal);
        Assert.Equal(commented, harness.Reply.Text.EndsWith("}\n\ndata: [DONE]\n\n", StringComparison.Ordinal));
        Assert.Contains("decode_bad_request", harness.Reply.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_whole_answer_gets_no_comments()
    {
        FakeResponse decode = new();
        using ForwarderHarness harness = new(Beating, _ => decode);
        Task forwarded = harness.ForwardAsync("""{"text":"a"}""");

        harness.Time.AdvanceTo(Interval * 3);
        decode.Say("{}").End();
        await forwarded.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal("{}", harness.Reply.Text);
    }

    [Fact]
    public async Task A_client_that_leaves_ends_the_comments()
    {
        using CancellationTokenSource gone = new();
        FakeResponse decode = new();
        using ForwarderHarness harness = new(Beating, _ => decode);
        Task forwarded = harness.ForwardAsync("""{"text":"a","stream":true}""", clientGone: gone.Token);
        await BeatAsync(harness, 1);

        await gone.CancelAsync();
        await forwarded.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(Comment, harness.Reply.Text);
        Assert.Equal(0, harness.CreditsOut);
    }
}
