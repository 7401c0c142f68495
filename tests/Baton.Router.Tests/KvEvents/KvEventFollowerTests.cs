using Baton.Router.KvEvents;
using Baton.Router.Tests.Http;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Tests.KvEvents;

/// <summary>One rank is followed over a real socket; pauses and limits pass in virtual time.</summary>
public sealed class KvEventFollowerTests
{
    private static readonly byte[] OneBlock = KvWire.Batch(KvWire.Stored([1], null, [10], 1));

    private static byte[] Next(long hash, long token) => KvWire.Batch(KvWire.Stored([hash], hash - 1, [token], 1));

    private sealed class Rig : IAsyncDisposable
    {
        /// <summary>For a connection: more than the longest pause, so that the two are told apart.</summary>
        public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _running;

        public Rig(ScriptedPublisher publisher, string topic = "kv") => _running = new KvEventFollower(
            "127.0.0.1", publisher.Port, topic, "http://w:1@0", Blocks, Limit, Time, Log).RunAsync(_stop.Token);

        public VirtualTimeProvider Time { get; } = new();
        public KvBlocks Blocks { get; } = new();
        public Lines Log { get; } = new();

        public int Match(params uint[] prompt) => Blocks.Match(new PromptBlocks(prompt));

        /// <summary>Waits until the follower pauses between two connections, and lets the pause pass.</summary>
        public async Task<TimeSpan> PassPauseAsync()
        {
            await RouterHarness.Until(() => Time.NextDue is { } due && due - Time.Now < Limit, "a pause runs");
            TimeSpan pause = Time.NextDue!.Value - Time.Now;
            Time.Advance(pause);
            return pause;
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running;
            _stop.Dispose();
        }
    }

    internal sealed class Lines : ILogger
    {
        private readonly List<string> _texts = [];

        public IReadOnlyList<string> Texts
        {
            get
            {
                lock (_texts) return [.. _texts];
            }
        }

        public void Log<TState>(LogLevel level, EventId id, TState state, Exception? exception, Func<TState, Exception?, string> format)
        {
            lock (_texts) _texts.Add(format(state, exception));
        }

        public bool IsEnabled(LogLevel level) => true;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;
    }

    [Fact]
    public async Task Batches_are_applied_as_they_come()
    {
        await using ScriptedPublisher publisher = new();
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic == "kv", "it subscribed");

        await publisher.SendAsync(0, OneBlock);
        await publisher.SendAsync(1, Next(2, 11));

        await RouterHarness.Until(() => rig.Match(10, 11) == 2, "both blocks are known");
        Assert.Equal((true, true, true, 2), (rig.Blocks.IsFollowed, rig.Blocks.IsLive, rig.Blocks.IsWhole, rig.Blocks.Batches));
    }

    [Fact]
    public async Task A_batch_of_many_frames_lengths_and_a_ping_inside_is_applied_and_the_ping_answered()
    {
        await using ScriptedPublisher publisher = new();
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic is not null, "it subscribed");
        byte[] large = KvWire.Batch([.. Enumerable.Range(1, 15).Select(i => KvWire.Stored([i], i == 1 ? null : i - 1, [100 + i], 1))]);

        await publisher.PingInsideAsync(0, large);

        Assert.True(large.Length > 255);
        await RouterHarness.Until(() => !publisher.Said.IsEmpty, "the ping is answered");
        Assert.Equal([4, .. "PONG"u8, .. "ctx"u8], publisher.Said.First());
        await RouterHarness.Until(() => rig.Match([.. Enumerable.Range(101, 15).Select(i => (uint)i)]) == 15, "all blocks are known");
    }

    [Fact]
    public async Task A_gap_forgets_what_was_known_and_what_follows_is_known_again()
    {
        await using ScriptedPublisher publisher = new();
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic is not null, "it subscribed");
        await publisher.SendAsync(0, OneBlock);

        await publisher.SendAsync(2, KvWire.Batch(KvWire.Stored([5], null, [50], 1)));

        await RouterHarness.Until(() => rig.Match(50) == 1, "the batch behind the gap is known");
        Assert.Equal((0, 1, false), (rig.Match(10), rig.Blocks.ForgottenBy(KvForgotten.Gap), rig.Blocks.IsWhole));
    }

    [Fact]
    public async Task A_lost_publisher_is_unknown_until_it_is_back_after_a_pause()
    {
        await using ScriptedPublisher publisher = new();
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic is not null, "it subscribed");
        await publisher.SendAsync(0, OneBlock);
        await RouterHarness.Until(() => rig.Match(10) == 1, "the block is known");

        publisher.Cut();
        await RouterHarness.Until(() => !rig.Blocks.IsLive, "the end was noticed");
        (int known, int connections) = (rig.Match(10), publisher.Accepted);
        await rig.PassPauseAsync();
        await RouterHarness.Until(() => rig.Blocks.IsLive && publisher.Topic is not null, "it subscribed again");
        await publisher.SendAsync(0, OneBlock);

        await RouterHarness.Until(() => rig.Match(10) == 1, "the block is known again");
        Assert.Equal((0, 1, 1), (known, connections, rig.Blocks.ForgottenBy(KvForgotten.Lost)));
        Assert.Equal(2, rig.Log.Texts.Count);
        Assert.Contains("followed again", rig.Log.Texts[1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0001AA")] // one part
    [InlineData("0100" + "0008" + "0000000000000000")] // two
    [InlineData("0100" + "0107" + "00000000000000")] // a number of seven bytes
    [InlineData("0100" + "0109" + "000000000000000000")]
    [InlineData("0100" + "0108" + "0000000000000000" + "0100" + "0000")] // four
    [InlineData("0100" + "0108" + "0000000000000000" + "020000000004000001")] // a batch of more than 64 MiB
    [InlineData("0100" + "0108" + "0000000000000000" + "0001C1")] // no batch
    [InlineData("08")]
    public async Task A_publisher_that_breaks_the_protocol_is_left(string hex)
    {
        await using ScriptedPublisher publisher = new();
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic is not null, "it subscribed");

        await publisher.WriteAsync(Convert.FromHexString(hex));

        await RouterHarness.Until(() => publisher.Left == 1, "its connection was closed");
        await RouterHarness.Until(() => rig.Log.Texts.Count == 1 && !rig.Blocks.IsLive, "the log says so");
        Assert.False(rig.Blocks.IsWhole);
    }

    [Fact]
    public async Task A_peer_of_another_kind_is_tried_again_with_growing_pauses_and_logged_once()
    {
        await using ScriptedPublisher publisher = new() { Type = "ROUTER" };
        await using Rig rig = new(publisher);
        List<TimeSpan> at = [];

        for (int attempt = 1; attempt <= 8; attempt++)
        {
            await RouterHarness.Until(() => publisher.Left == attempt, "it was left");
            at.Add(await rig.PassPauseAsync());
        }

        Assert.Equal([1, 2, 4, 8, 16, 30, 30, 30], at.Select(pause => pause.TotalSeconds));
        Assert.Contains("ROUTER", Assert.Single(rig.Log.Texts), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_that_never_greets_is_left_after_the_time_for_a_connection()
    {
        await using ScriptedPublisher publisher = new() { IsSilent = true };
        await using Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Accepted == 1 && rig.Time.NextDue is not null, "it connected");

        rig.Time.Advance(Rig.Limit - TimeSpan.FromSeconds(0.1));
        (int before, int lines) = (publisher.Left, rig.Log.Texts.Count);
        rig.Time.Advance(TimeSpan.FromSeconds(0.1));

        await RouterHarness.Until(() => publisher.Left == 1, "it was left");
        await RouterHarness.Until(() => rig.Log.Texts.Count == 1, "the log says so");
        Assert.Equal((0, 0), (before, lines));
        Assert.Contains("no connection within 60 s", rig.Log.Texts[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_follower_that_is_stopped_leaves_at_once_and_knows_nothing_more()
    {
        await using ScriptedPublisher publisher = new();
        Rig rig = new(publisher);
        await RouterHarness.Until(() => publisher.Topic is not null, "it subscribed");
        await publisher.SendAsync(0, OneBlock);
        await RouterHarness.Until(() => rig.Match(10) == 1, "the block is known");

        await rig.DisposeAsync();

        await RouterHarness.Until(() => publisher.Left == 1, "it left");
        Assert.Equal((false, false, 0), (rig.Blocks.IsFollowed, rig.Blocks.IsLive, rig.Blocks.Count));
        Assert.Empty(rig.Log.Texts);
    }
}
