using System.Net;
using System.Net.Sockets;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Simulation.Clock;
using Baton.Transfer.Links;
using Baton.Transfer.Sending;
using Baton.Transfer.Tcp;
using Baton.Transfer.Tests.Wire;
using Baton.Transfer.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Transfer.Tests.Tcp;

/// <summary>Peers over real sockets that vanish, lie, stall or are strangers.</summary>
public sealed class TcpFaultTests
{
    private const string Secret = "sixteen letters!";
    private static readonly BootstrapRoom Room = Make.Room(0xA7);
    private static readonly TransferOptions WithSecret = new() { ClusterSecret = Secret };
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Nobody_at_the_port_fails_the_room_link_lost()
    {
        await using TcpRig rig = new();

        // Not a port that was just let go: another test's listener may have it by now.
        rig.Receiver.Claim(Room, rig.Endpoint with { Port = 1 }, 10);
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        Assert.Equal(FailureReason.LinkLost, Assert.Single(rig.Received).Failure!.Reason);
    }

    [Fact]
    public async Task Another_secret_fails_the_room_peer_mismatch()
    {
        await using TcpRig rig = new(options: WithSecret, decodeOptions: new TransferOptions { ClusterSecret = "another secret !!" });

        rig.Receiver.Claim(Room, rig.Endpoint, 10);
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        Assert.Equal(FailureReason.PeerMismatch, Assert.Single(rig.Received).Failure!.Reason);
        Assert.Equal(0, rig.Sender.Links);
    }

    [Fact]
    public async Task What_prefill_finds_wrong_in_the_handshake_reaches_decode_in_its_words()
    {
        await using TcpRig rig = new(decode: Make.Decode() with { ModelFingerprint = "beef" });

        rig.Receiver.Claim(Room, rig.Endpoint, 10);
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        RequestFailure failure = Assert.Single(rig.Received).Failure!;
        Assert.Equal(FailureReason.PeerMismatch, failure.Reason);
        Assert.Contains("'f00d'", failure.Message, StringComparison.Ordinal);
        Assert.Contains("'beef'", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sender_that_is_disposed_says_goodbye_and_a_new_one_can_be_claimed()
    {
        await using TcpRig rig = new();
        await rig.MeetAsync(Room, 10);

        rig.Sender.Dispose();
        await rig.Listener.DisposeAsync();
        await rig.UntilAsync(() => rig.Received.Count > 0, "the goodbye");
        Assert.Equal(FailureReason.ShuttingDown, Assert.Single(rig.Received).Failure!.Reason);
        KvInbox inbox = new(100, rig.Wake);
        using KvSender reborn = new(inbox, Make.Prefill(), new TransferOptions(), _ => null, NullLogger.Instance);
        await using TcpKvListener listener = new(inbox, Make.Prefill(), new TransferOptions(), TimeProvider.System, NullLogger.Instance);
        listener.Start();
        reborn.Open(Room, 10);
        rig.Receiver.Claim(Room, rig.Endpoint with { Port = listener.Port }, 10);
        List<KvSenderEvent> events = [];
        await rig.UntilAsync(() => Polled(reborn, events), "the second life");

        Assert.Equal(KvSenderEventKind.Claimed, Assert.Single(events).Kind);

        static bool Polled(KvSender sender, List<KvSenderEvent> events)
        {
            sender.Poll(TimeSpan.Zero, events);
            return events.Count > 0;
        }
    }

    [Fact]
    public async Task Prefill_killed_in_the_middle_of_a_chunk_fails_the_room_and_returns_the_buffer()
    {
        await using FakePrefill prefill = new();
        await using TcpRig rig = new(decode: Make.Decode(maxChunkTokens: 20_000, windowBytes: 1 << 20));
        rig.Receiver.Claim(Room, prefill.Endpoint, 20_000);
        using Socket socket = await prefill.AcceptAsync(Make.Prefill(maxChunkTokens: 20_000));
        byte[] chunk = Frames.Write(KvFrame.ForChunk(Room, 1, new KvRange(0, 20_000), Make.Cells(Room, new KvRange(0, 20_000))) with { Number = 1 });

        await SendAsync(socket, chunk.AsMemory(0, chunk.Length / 2));
        socket.Close();
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        KvReceiverEvent failed = Assert.Single(rig.Received);
        Assert.Equal((KvReceiverEventKind.Failed, FailureReason.LinkLost), (failed.Kind, failed.Failure!.Reason));
        Assert.Equal(0, rig.Receiver.BufferedBytes);
    }

    [Theory]
    [InlineData("a chunk of 4 GB")]
    [InlineData("a chunk nobody claimed")]
    [InlineData("a gap")]
    [InlineData("a flipped bit")]
    [InlineData("a flipped bit far inside")]
    [InlineData("a NaN")]
    [InlineData("another protocol")]
    [InlineData("a second handshake")]
    public async Task Prefill_that_lies_fails_the_room_as_corrupt_and_gets_a_goodbye(string what)
    {
        await using FakePrefill prefill = new();
        await using TcpRig rig = new(decode: Make.Decode(maxChunkTokens: 20_000, windowBytes: 1 << 20));
        rig.Receiver.Claim(Room, prefill.Endpoint, 20_000);
        using Socket socket = await prefill.AcceptAsync(Make.Prefill(maxChunkTokens: 20_000));

        await SendAsync(socket, Lie(what));
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        Assert.Equal(FailureReason.TransferCorrupt, Assert.Single(rig.Received).Failure!.Reason);
        Assert.Equal(0, rig.Receiver.BufferedBytes);
        byte[] told = await ReceiveAllAsync(socket);
        Assert.Contains((byte)KvFrameType.Goodbye, told.Chunk(4).Where(c => c.Length > 0).Select(c => c[0]));
    }

    private static byte[] Lie(string what)
    {
        KvRange range = new(0, 10), large = new(0, 20_000);
        byte[] small = Frames.Write(KvFrame.ForChunk(Room, what == "a chunk nobody claimed" ? 2u : 1, what == "a gap" ? new KvRange(1, 11) : range, Make.Cells(Room, range)) with { Number = 1 });
        switch (what)
        {
            case "a chunk of 4 GB":
                small.AsSpan(24, 4).Fill(0xFF);
                return small;
            case "a flipped bit":
                small[^1] ^= 1;
                return small;
            case "a flipped bit far inside":
                byte[] big = Frames.Write(KvFrame.ForChunk(Room, 1, large, Make.Cells(Room, large)) with { Number = 1 });
                big[300_000] ^= 1;
                return big;
            case "a NaN":
                KvBuffer cells = Make.Cells(Room, large);
                cells.Span[^1] = 0x7E;
                return Frames.Write(KvFrame.ForChunk(Room, 1, large, cells) with { Number = 1 });
            case "another protocol":
                return "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"u8.ToArray();
            case "a second handshake":
                return GoldenBytes.Of("Ready");
            default:
                return small;
        }
    }

    [Fact]
    public async Task A_stranger_that_says_nothing_is_hung_up_on_at_the_deadline_and_not_before()
    {
        VirtualTimeProvider time = new();
        await using TcpKvListener listener = new(new KvInbox(10, () => { }), Make.Prefill(), new TransferOptions { HandshakeTimeout = TimeSpan.FromSeconds(5) }, time, NullLogger.Instance);
        listener.Start();
        using Socket stranger = await ConnectAsync(listener.Port);
        await WaitForTimerAsync(time);

        time.Advance(TimeSpan.FromSeconds(4.9));
        Task<int> reading = stranger.ReceiveAsync(new byte[1], SocketFlags.None);
        Assert.False(reading.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(0.1));

        Assert.Equal(0, await reading.WaitAsync(Patience));
    }

    [Fact]
    public async Task More_strangers_than_the_cap_are_hung_up_on_at_once()
    {
        await using TcpKvListener listener = new(new KvInbox(10, () => { }), Make.Prefill(), new TransferOptions { MaxUnauthenticated = 2 }, TimeProvider.System, NullLogger.Instance);
        listener.Start();
        using Socket first = await ConnectAsync(listener.Port), second = await ConnectAsync(listener.Port), third = await ConnectAsync(listener.Port);

        Assert.Equal(0, await third.ReceiveAsync(new byte[1], SocketFlags.None).WaitAsync(Patience));

        await SendAsync(first, GoldenBytes.Of("Hello"));
        Assert.Equal(KvFrameHeader.Size + KvHandshake.ChallengeBytes, await first.ReceiveAsync(new byte[1000], SocketFlags.None).WaitAsync(Patience));
    }

    [Theory]
    [InlineData("4854545020")]   // HTTP
    [InlineData("424b563112")]   // the right magic, then a chunk
    public async Task A_stranger_that_speaks_something_else_is_hung_up_on(string beginning)
    {
        await using TcpKvListener listener = new(new KvInbox(10, () => { }), Make.Prefill(), WithSecret, TimeProvider.System, NullLogger.Instance);
        listener.Start();
        using Socket stranger = await ConnectAsync(listener.Port);

        await SendAsync(stranger, Convert.FromHexString(beginning.PadRight(64, '0')));

        Assert.Empty(await ReceiveAllAsync(stranger));
    }

    [Fact]
    public async Task A_peer_that_falls_silent_is_pinged_and_then_given_up()
    {
        VirtualTimeProvider time = new();
        await using FakePrefill prefill = new();
        await using TcpRig rig = new(time: time);
        rig.Receiver.Claim(Room, prefill.Endpoint, 10);
        using Socket socket = await prefill.AcceptAsync(Make.Prefill());
        byte[] buffer = new byte[1000];
        int got = await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience); // the claim
        Assert.Equal((byte)KvFrameType.Claim, buffer[4]);
        await WaitForTimerAsync(time);
        time.Advance(TimeSpan.FromSeconds(5));
        got = await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience);
        Assert.Equal((KvFrameHeader.Size, (byte)KvFrameType.Ping), (got, buffer[4]));
        time.Advance(TimeSpan.FromSeconds(5));
        await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience);
        time.Advance(TimeSpan.FromSeconds(5));
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        RequestFailure failure = Assert.Single(rig.Received).Failure!;
        Assert.Equal(FailureReason.LinkLost, failure.Reason);
        Assert.Contains("silent for 15 s", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_whose_bytes_never_become_a_frame_counts_as_silent()
    {
        VirtualTimeProvider time = new();
        await using FakePrefill prefill = new();
        await using TcpRig rig = new(time: time);
        rig.Receiver.Claim(Room, prefill.Endpoint, 10);
        using Socket socket = await prefill.AcceptAsync(Make.Prefill());
        byte[] buffer = new byte[1000], failure = Frames.Write(KvFrame.ForFail(Room, 1, RequestFailure.Of(FailureReason.Aborted, new string('x', 200))));
        await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience); // the claim
        await WaitForTimerAsync(time);
        for (int sent = 0; sent < 3; sent++)
        {
            await SendAsync(socket, failure.AsMemory(50 * sent, 50));
            time.Advance(TimeSpan.FromSeconds(5));
            await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience); // a ping, then the goodbye
        }
        await rig.UntilAsync(() => rig.Received.Count > 0, "a failure");

        Assert.Contains("silent for 15 s", Assert.Single(rig.Received).Failure!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_listener_that_others_can_reach_needs_a_secret_and_says_so()
    {
        string error = Assert.Single(new TransferOptions { BindAddress = "0.0.0.0" }.Validate());

        Assert.Contains("--cluster-secret", error, StringComparison.Ordinal);
        Assert.Contains("BATON_CLUSTER_SECRET", error, StringComparison.Ordinal);
        Assert.Empty(new TransferOptions { BindAddress = "0.0.0.0", ClusterSecret = Secret }.Validate());
        Assert.Empty(new TransferOptions().Validate());
        Assert.Empty(new TransferOptions { BindAddress = "::1" }.Validate());
        Assert.DoesNotContain(Secret, new TransferOptions { ClusterSecret = Secret }.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_taken_port_is_an_error_that_names_it()
    {
        await using TcpKvListener first = new(new KvInbox(10, () => { }), Make.Prefill(), new TransferOptions(), TimeProvider.System, NullLogger.Instance);
        first.Start();
        await using TcpKvListener second = new(new KvInbox(10, () => { }), Make.Prefill(), new TransferOptions { Port = first.Port }, TimeProvider.System, NullLogger.Instance);

        Assert.Contains($"127.0.0.1:{first.Port}", Assert.Throws<InvalidOperationException>(second.Start).Message, StringComparison.Ordinal);
    }

    private static async Task<Socket> ConnectAsync(int port)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return socket;
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty) bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None)..];
    }

    private static async Task<byte[]> ReceiveAllAsync(Socket socket)
    {
        List<byte> all = [];
        byte[] buffer = new byte[4096];
        try
        {
            while (await socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync(Patience) is int got and > 0) all.AddRange(buffer.AsSpan(0, got));
        }
        catch (SocketException)
        {
            // A reset: the peer hung up on bytes that it had not read.
        }
        return [.. all];
    }

    /// <summary>Other threads set timers; the test moves the clock only when there is one.</summary>
    private static async Task WaitForTimerAsync(VirtualTimeProvider time)
    {
        for (int i = 0; i < 3000 && time.NextDue is null; i++) await Task.Delay(10);
        Assert.NotNull(time.NextDue);
    }

    /// <summary>A prefill rank that knows the handshake and then does what the test wants.</summary>
    private sealed class FakePrefill : IAsyncDisposable
    {
        private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

        public FakePrefill()
        {
            _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _listener.Listen();
        }

        public KvEndpoint Endpoint => new("127.0.0.1", ((IPEndPoint)_listener.LocalEndPoint!).Port, DpRank.Zero);

        public async Task<Socket> AcceptAsync(KvIdentity self)
        {
            Socket socket = await _listener.AcceptAsync().WaitAsync(Patience);
            using KvSocketReader reader = new(socket, () => { });
            KvHandshake handshake = new(null);
            await SendAsync(socket, handshake.Challenge((await reader.ReadHandshakeAsync(default))!.Value.Payload, new byte[KvHandshake.NonceBytes]));
            await SendAsync(socket, handshake.Accept((await reader.ReadHandshakeAsync(default))!.Value.Payload, self, out _));
            return socket;
        }

        public ValueTask DisposeAsync()
        {
            _listener.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
