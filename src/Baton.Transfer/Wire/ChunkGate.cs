using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Transfer.Wire;

/// <summary>What a chunk is allowed to be on one link: asked before any memory is rented for it, and again on the rank's thread.</summary>
/// <remarks>
/// A TCP link keeps one beside its reading loop, fed by the claims, ends and credits that it sees going out; the receiver keeps its own.
/// Not thread-safe.
/// </remarks>
internal sealed class ChunkGate(KvLayout layout, int maxChunkTokens, long windowBytes)
{
    private readonly Dictionary<uint, Claimed> _claims = [];
    private uint _newestClaim;
    private long _window = windowBytes;

    public KvLayout Layout { get; } = layout;

    /// <summary>Longest legal payload of a chunk frame, its 8 bytes of range included.</summary>
    public long MaxFrameBytes { get; } = layout.PayloadBytes(maxChunkTokens) + KvFrameCodec.RangeBytes;

    private sealed class Claimed(BootstrapRoom room, int promptTokens)
    {
        public BootstrapRoom Room { get; } = room;
        public KvCoverage Coverage = new(promptTokens);
    }

    public void Claim(uint claim, BootstrapRoom room, int promptTokens)
    {
        _claims.Add(claim, new Claimed(room, promptTokens));
        _newestClaim = claim;
    }

    /// <summary>The room ended: what still arrives for it is late.</summary>
    public void End(uint claim) => _claims.Remove(claim);

    /// <summary>The peer may send so many more bytes.</summary>
    public void Grant(long bytes) => _window += bytes;

    /// <summary>Learns what a frame that goes out has promised, or what one that came in has ended.</summary>
    public void Note(in KvFrame frame)
    {
        switch (frame.Type)
        {
            case KvFrameType.Claim:
                Claim(frame.Claim, frame.Room, frame.PromptTokens);
                break;
            case KvFrameType.Ack or KvFrameType.Fail or KvFrameType.WrongRank:
                End(frame.Claim);
                break;
            case KvFrameType.Credit:
                Grant(frame.CreditBytes);
                break;
            default:
                break;
        }
    }

    /// <summary>Takes a chunk's bytes off the window and its range off what is still missing.</summary>
    /// <returns>True for a chunk that is wanted; false for one whose room ended while it was under way, to be thrown away.</returns>
    /// <exception cref="KvProtocolException">Never claimed, another room, a gap, an overlap, past the prompt, a wrong length, or more bytes than the window.</exception>
    public bool Admit(uint claim, BootstrapRoom room, KvRange range, long payloadBytes)
    {
        int tokens = range.Start >= 0 && range.End > range.Start ? range.TokenCount : throw Broken($"chunk {range} of {room} is empty or negative");
        if (tokens > maxChunkTokens) throw Broken($"chunk {range} of {room} is longer than the {maxChunkTokens} tokens that were agreed");
        if (payloadBytes != Layout.PayloadBytes(tokens))
            throw Broken($"chunk {range} of {room} carries {payloadBytes} bytes and not {tokens} tokens of {Layout.BytesPerToken} bytes");
        if (payloadBytes > _window) throw Broken($"chunk {range} of {room} overruns the window: {payloadBytes} bytes and {_window} were left");

        bool isWanted = _claims.TryGetValue(claim, out Claimed? claimed);
        if (isWanted && claimed!.Room != room) throw Broken($"claim {claim} is for {claimed.Room} and a chunk under it names {room}");
        if (isWanted && !claimed!.Coverage.TryAdd(range))
            throw Broken($"chunk {range} of {room} does not continue [0,{claimed.Coverage.CoveredCount}) of {claimed.Coverage.TokenCount} tokens");
        if (!isWanted && (claim == 0 || claim > _newestClaim)) throw Broken($"a chunk of {room} came under claim {claim}, which was never made");
        _window -= payloadBytes;
        return isWanted;
    }

    /// <summary>True when a last frame may end the claim; false when it is late.</summary>
    /// <exception cref="KvProtocolException">Positions are missing, or the claim was never made.</exception>
    public bool AdmitLast(uint claim, BootstrapRoom room)
    {
        if (!IsLive(claim, room)) return false;
        KvCoverage coverage = _claims[claim].Coverage;
        if (!coverage.IsComplete) throw Broken($"the last frame of {room} came after {coverage.CoveredCount} of {coverage.TokenCount} tokens");
        return true;
    }

    /// <summary>True when the claim still waits for frames; false when it ended here already.</summary>
    /// <exception cref="KvProtocolException">The claim was never made, or for another room.</exception>
    public bool IsLive(uint claim, BootstrapRoom room)
    {
        if (_claims.TryGetValue(claim, out Claimed? claimed))
            return claimed.Room == room ? true : throw Broken($"claim {claim} is for {claimed.Room} and a frame under it names {room}");
        if (claim == 0 || claim > _newestClaim) throw Broken($"a frame of {room} came under claim {claim}, which was never made");
        return false;
    }

    private static KvProtocolException Broken(string what) => new($"The peer broke the hand-over protocol: {what}.");
}
