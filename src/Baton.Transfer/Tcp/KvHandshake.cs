using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>The handshake ended badly: the reason is for this side's rooms, and its text goes to the peer too.</summary>
internal sealed class KvHandshakeException(RequestFailure failure) : Exception(failure.Message)
{
    public RequestFailure Failure { get; } = failure;
}

/// <summary>What both sides of the handshake share: the frames' bytes and the proofs over them.</summary>
/// <remarks>
/// <code>
/// decode  -> Hello      version, fresh number
/// prefill -> Challenge  version, fresh number, HMAC("prefill", all of it)
/// decode  -> Proof      who decode is, which rank it wants, HMAC("decode", all so far)
/// prefill -> Ready      who prefill is, HMAC("ready", all so far)
/// </code>
/// HMAC-SHA256 with the cluster secret. Both numbers are in every proof, so a recording proves nothing a second time; the labels differ,
/// so one side's proof is not the other's. Nobody tells who it is before it has seen the other's proof.
/// </remarks>
internal sealed class KvHandshake
{
    public const int NonceBytes = 32;
    public const int MacBytes = 32;
    public const int HelloBytes = 4 + NonceBytes;
    public const int ChallengeBytes = HelloBytes + MacBytes;

    private readonly byte[] _secret;
    private readonly List<byte> _transcript = [];

    public KvHandshake(string? secret) => _secret = Encoding.UTF8.GetBytes(secret ?? "");

    /// <summary>Decode's first frame.</summary>
    public byte[] Hello(ReadOnlySpan<byte> nonce) => Frame(KvFrameType.Hello, Remember(Version(nonce)));

    /// <summary>Prefill's answer to it.</summary>
    /// <exception cref="KvHandshakeException">Another protocol version.</exception>
    public byte[] Challenge(ReadOnlySpan<byte> hello, ReadOnlySpan<byte> nonce)
    {
        if (hello.Length != HelloBytes) throw new KvProtocolException($"A Hello has {hello.Length} bytes and not {HelloBytes}.");
        CheckVersion(hello);
        Remember(hello);
        Remember(Version(nonce));
        return Frame(KvFrameType.Challenge, [.. Version(nonce), .. Remember(Mac("prefill"))]);
    }

    /// <summary>Decode checks that prefill holds the secret, and says who it is.</summary>
    /// <param name="wanted">The rank that the endpoint must turn out to be.</param>
    /// <exception cref="KvHandshakeException">Another version, or another secret.</exception>
    public byte[] Prove(ReadOnlySpan<byte> challenge, KvIdentity self, DpRank wanted)
    {
        if (challenge.Length != ChallengeBytes) throw new KvProtocolException($"A Challenge has {challenge.Length} bytes and not {ChallengeBytes}.");
        CheckVersion(challenge);
        Remember(challenge[..HelloBytes]);
        CheckMac("prefill", challenge[HelloBytes..], "the prefill rank");
        Remember(challenge[HelloBytes..]);
        return Signed(KvFrameType.Proof, "decode", self, wanted.Value);
    }

    /// <summary>Prefill checks that decode holds the secret and fits, and says who it is.</summary>
    /// <exception cref="KvHandshakeException">Another secret, another rank wanted, or sides that cannot hand over.</exception>
    public byte[] Accept(ReadOnlySpan<byte> proof, KvIdentity self, out KvIdentity peer)
    {
        (peer, int wanted) = CheckSigned(KvFrameType.Proof, "decode", proof, "the decode rank");
        if (wanted != self.Rank.Value)
            throw Refused(FailureReason.RankUnavailable, $"Decode rank {peer.Rank} ({peer.InstanceId}) looks for prefill rank {wanted}, and this is rank {self.Rank} ({self.InstanceId}): its bootstrap entry is old.");
        if (KvIdentity.FindMismatch(self, peer) is { } mismatch) throw new KvHandshakeException(mismatch);
        return Signed(KvFrameType.Ready, "ready", self, self.Rank.Value);
    }

    /// <summary>Decode checks who prefill is.</summary>
    /// <exception cref="KvHandshakeException">Another secret, or sides that cannot hand over.</exception>
    public KvIdentity Finish(ReadOnlySpan<byte> ready, KvIdentity self, DpRank wanted)
    {
        (KvIdentity peer, _) = CheckSigned(KvFrameType.Ready, "ready", ready, "the prefill rank");
        if (peer.Rank != wanted) throw Refused(FailureReason.RankUnavailable, $"Prefill rank {wanted} was looked for, and rank {peer.Rank} ({peer.InstanceId}) answered.");
        return KvIdentity.FindMismatch(peer, self) is { } mismatch ? throw new KvHandshakeException(mismatch) : peer;
    }

    private static KvHandshakeException Refused(FailureReason reason, string what) => new(RequestFailure.Of(reason, what));

    private static byte[] Version(ReadOnlySpan<byte> nonce)
    {
        byte[] bytes = new byte[HelloBytes];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, KvFrameHeader.Major);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2), KvFrameHeader.Minor);
        nonce.CopyTo(bytes.AsSpan(4));
        return bytes;
    }

    private static void CheckVersion(ReadOnlySpan<byte> theirs)
    {
        ushort major = BinaryPrimitives.ReadUInt16LittleEndian(theirs), minor = BinaryPrimitives.ReadUInt16LittleEndian(theirs[2..]);
        if (major != KvFrameHeader.Major)
            throw Refused(FailureReason.PeerMismatch, $"KV protocol {KvFrameHeader.Major}.{KvFrameHeader.Minor} is spoken here and {major}.{minor} by the peer.");
    }

    private byte[] Signed(KvFrameType type, string label, KvIdentity self, int rank)
    {
        byte[] payload = new byte[KvFrameHeader.MaxControlBytes];
        KvFieldWriter fields = new(payload);
        fields.Int32(rank);
        KvIdentityCodec.Write(self, ref fields);
        Remember(payload.AsSpan(0, fields.Count));
        fields.Bytes(Remember(Mac(label)));
        return Frame(type, payload.AsSpan(0, fields.Count));
    }

    private (KvIdentity Peer, int Rank) CheckSigned(KvFrameType type, string label, ReadOnlySpan<byte> payload, string who)
    {
        if (payload.Length < MacBytes) throw new KvProtocolException($"A {type} frame has {payload.Length} bytes, fewer than its proof.");
        Remember(payload[..^MacBytes]);
        CheckMac(label, payload[^MacBytes..], who);
        Remember(payload[^MacBytes..]);

        KvFieldReader fields = new(payload[..^MacBytes], type); // nothing in it is read before the proof was right
        int rank = fields.Int32(0, int.MaxValue, "rank");
        KvIdentity peer = KvIdentityCodec.Read(ref fields);
        fields.ExpectEnd();
        return (peer, rank);
    }

    private byte[] Mac(string label)
    {
        using IncrementalHash mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _secret);
        mac.AppendData(Encoding.ASCII.GetBytes($"baton-kv {label}\n"));
        mac.AppendData(CollectionsMarshal.AsSpan(_transcript));
        return mac.GetHashAndReset();
    }

    private void CheckMac(string label, ReadOnlySpan<byte> theirs, string who)
    {
        if (!CryptographicOperations.FixedTimeEquals(Mac(label), theirs)) throw Refused(FailureReason.PeerMismatch, $"The cluster secret of {who} is not the one of its peer.");
    }

    private ReadOnlySpan<byte> Remember(ReadOnlySpan<byte> said)
    {
        _transcript.AddRange(said);
        return said;
    }

    private static byte[] Frame(KvFrameType type, ReadOnlySpan<byte> payload)
    {
        byte[] whole = new byte[KvFrameHeader.Size + payload.Length];
        payload.CopyTo(whole.AsSpan(KvFrameHeader.Size));
        KvFrameCodec.Seal(new KvFrameHeader(type, default, 0, 0, payload.Length, 0), whole);
        return whole;
    }
}
