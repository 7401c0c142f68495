using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Transfer.Tcp;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Tcp;

/// <summary>Who writes onto a link: whoever posts, or the loop. Real sockets.</summary>
public sealed class KvSocketWriterTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly int[] ChunkTokens = [1, 7, 200, 20_000, 60_000];

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task Every_frame_arrives_whole_and_those_of_each_thread_in_order_though_the_peer_reads_late(int threads)
    {
        const int FramesEach = 300;
        using Pair pair = new();
        KvSocketWriter writer = new(maxQueuedFrames: 10_000, TimeProvider.System);
        Task running = writer.RunAsync(pair.Mine, CancellationToken.None);

        Task posting = Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Run(() =>
        {
            for (uint i = 1; i <= FramesEach; i++) Assert.True(writer.TryPost(Frame(thread, i)));
        })));
        if (threads == 1) await posting.WaitAsync(Patience); // all of it waits for the peer, some of it in the socket
        Task<byte[]> reading = pair.ReadAllAsync();
        await posting.WaitAsync(Patience);
        writer.Complete(KvFrame.ForGoodbye(Make.Aborted));
        await running.WaitAsync(Patience);
        pair.Mine.Shutdown(SocketShutdown.Send);

        List<KvFrameHeader> frames = Frames(await reading.WaitAsync(Patience));
        Assert.Equal(KvFrameType.Goodbye, frames[^1].Type);
        for (int thread = 0; thread < threads; thread++)
        {
            BootstrapRoom room = Make.Room((ulong)thread);
            Assert.Equal(Enumerable.Range(1, FramesEach).Select(i => (uint)i), frames[..^1].Where(frame => frame.Room == room).Select(frame => frame.Claim));
        }
    }

    [Fact]
    public async Task What_was_posted_before_the_link_is_open_goes_out_first()
    {
        using Pair pair = new();
        KvSocketWriter writer = new(maxQueuedFrames: 10, TimeProvider.System);
        Assert.True(writer.TryPost(KvFrame.ForClaim(Make.Room(1), 1, 10)));
        Assert.True(writer.TryPost(KvFrame.ForClaim(Make.Room(1), 2, 10)));

        Task running = writer.RunAsync(pair.Mine, CancellationToken.None);
        Assert.True(writer.TryPost(KvFrame.ForClaim(Make.Room(1), 3, 10)));
        writer.Complete(KvFrame.ForGoodbye(Make.Aborted));
        await running.WaitAsync(Patience);
        pair.Mine.Shutdown(SocketShutdown.Send);

        List<KvFrameHeader> frames = Frames(await pair.ReadAllAsync().WaitAsync(Patience));
        Assert.Equal([1u, 2u, 3u, 0u], frames.Select(frame => frame.Claim));
    }

    [Fact]
    public async Task Cancelling_while_the_peer_reads_nothing_ends_the_writing_and_nobody_touches_the_socket_any_more()
    {
        using Pair pair = new();
        using CancellationTokenSource stop = new();
        KvSocketWriter writer = new(maxQueuedFrames: 1000, TimeProvider.System);
        Task running = writer.RunAsync(pair.Mine, stop.Token);
        List<KvBuffer> payloads = [];
        // Far more than the buffers of both sockets take.
        for (uint i = 1; i <= 100; i++) Post(i);

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(Patience));
        pair.Mine.Dispose();
        Post(101);
        writer.DropUnsent();

        Assert.All(payloads, payload => Assert.True(payload.IsReturned));

        void Post(uint claim)
        {
            KvFrame frame = Chunk(room: 1, claim, 60_000);
            payloads.Add(frame.Payload!);
            Assert.True(writer.TryPost(frame));
        }
    }

    [Fact]
    public void More_frames_than_may_wait_are_refused_and_stay_with_whoever_posts_them()
    {
        KvSocketWriter writer = new(maxQueuedFrames: 2, TimeProvider.System);
        Assert.True(writer.TryPost(KvFrame.Ping));
        Assert.True(writer.TryPost(KvFrame.Ping));
        using KvBuffer payload = Make.Cells(Make.Room(1), new KvRange(0, 1));

        Assert.False(writer.TryPost(KvFrame.ForChunk(Make.Room(1), 1, new KvRange(0, 1), payload)));
        Assert.False(payload.IsReturned);
    }

    private static KvFrame Frame(int thread, uint number) => number % 3 != 0
        ? KvFrame.ForClaim(Make.Room((ulong)thread), number, 10)
        : Chunk((ulong)thread, number, ChunkTokens[number / 3 % ChunkTokens.Length]);

    private static KvFrame Chunk(ulong room, uint claim, int tokens) =>
        KvFrame.ForChunk(Make.Room(room), claim, new KvRange(0, tokens), Make.Cells(Make.Room(room), new KvRange(0, tokens)));

    /// <summary>Takes the bytes apart; a checksum that is wrong throws.</summary>
    private static List<KvFrameHeader> Frames(byte[] bytes)
    {
        List<KvFrameHeader> frames = [];
        for (int at = 0; at < bytes.Length;)
        {
            ReadOnlySequence<byte> unread = new(bytes.AsMemory(at));
            Assert.True(KvFrameHeader.TryPeek(unread, int.MaxValue, out KvFrameHeader header));
            int length = KvFrameHeader.Size + header.PayloadBytes;
            KvFrameCodec.CheckCrc(header, unread.Slice(0, length));
            frames.Add(header);
            at += length;
        }
        return frames;
    }

    /// <summary>Two ends of one loopback connection.</summary>
    private sealed class Pair : IDisposable
    {
        private readonly Socket _theirs;

        public Pair()
        {
            using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen();
            Mine.Connect(listener.LocalEndPoint!);
            _theirs = listener.Accept();
        }

        public Socket Mine { get; } = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

        public async Task<byte[]> ReadAllAsync()
        {
            using MemoryStream all = new();
            await using NetworkStream stream = new(_theirs);
            await stream.CopyToAsync(all);
            return all.ToArray();
        }

        public void Dispose()
        {
            Mine.Dispose();
            _theirs.Dispose();
        }
    }
}
