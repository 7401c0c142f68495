using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Transfer.Links;
using Baton.Transfer.Tcp;
using Baton.Transfer.Tests.Wire;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Tcp;

/// <summary>The handshake's bytes and proofs, without a socket.</summary>
public sealed class KvHandshakeTests
{
    private const string Secret = "sixteen letters!";
    private static readonly DpRank Wanted = new(3);
    private static readonly KvIdentity Prefill = Make.Prefill(rank: 3), Decode = Make.Decode(rank: 1);
    private static readonly byte[] DecodeNonce = [.. Enumerable.Range(0, 32).Select(i => (byte)i)], PrefillNonce = [.. Enumerable.Range(32, 32).Select(i => (byte)i)];

    [Fact]
    public void The_four_frames_are_their_golden_bytes_and_each_side_learns_who_the_other_is()
    {
        KvHandshake decode = new(Secret), prefill = new(Secret);

        byte[] hello = decode.Hello(DecodeNonce);
        byte[] challenge = prefill.Challenge(Payload(hello), PrefillNonce);
        byte[] proof = decode.Prove(Payload(challenge), Decode, Wanted);
        byte[] ready = prefill.Accept(Payload(proof), Prefill, out KvIdentity seenByPrefill);
        KvIdentity seenByDecode = decode.Finish(Payload(ready), Decode, Wanted);

        Assert.Equal(GoldenBytes.Hex["Hello"], Convert.ToHexStringLower(hello));
        Assert.Equal(GoldenBytes.Hex["Challenge"], Convert.ToHexStringLower(challenge));
        Assert.Equal(GoldenBytes.Hex["Proof"], Convert.ToHexStringLower(proof));
        Assert.Equal(GoldenBytes.Hex["Ready"], Convert.ToHexStringLower(ready));
        Assert.Equal((Decode, Prefill), (seenByPrefill, seenByDecode));
    }

    [Theory]
    [InlineData("another secret !!", Secret)]
    [InlineData(Secret, "another secret !!")]
    [InlineData(null, Secret)]
    [InlineData(Secret, null)]
    public void Different_secrets_are_found_by_decode_before_it_says_who_it_is(string? decodeSecret, string? prefillSecret)
    {
        KvHandshake decode = new(decodeSecret), prefill = new(prefillSecret);
        byte[] challenge = prefill.Challenge(Payload(decode.Hello(DecodeNonce)), PrefillNonce);

        KvHandshakeException refused = Assert.Throws<KvHandshakeException>(() => decode.Prove(Payload(challenge), Decode, Wanted));

        Assert.Equal(FailureReason.PeerMismatch, refused.Failure.Reason);
        Assert.Contains("secret", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_decode_rank_that_ignores_the_wrong_secret_is_found_by_prefill()
    {
        KvHandshake decode = new("another secret !!"), honest = new("another secret !!"), prefill = new(Secret);
        byte[] hello = decode.Hello(DecodeNonce);
        byte[] forged = decode.Prove(Payload(honest.Challenge(Payload(hello), PrefillNonce)), Decode, Wanted);
        prefill.Challenge(Payload(hello), PrefillNonce);

        Assert.Contains("secret", Assert.Throws<KvHandshakeException>(() => prefill.Accept(Payload(forged), Prefill, out _)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recorded_proof_proves_nothing_against_a_fresh_challenge()
    {
        byte[] recordedHello = GoldenBytes.Of("Hello"), recordedProof = GoldenBytes.Of("Proof");
        KvHandshake prefill = new(Secret);
        byte[] fresh = [.. PrefillNonce];
        fresh[0] ^= 1;

        prefill.Challenge(Payload(recordedHello), fresh);

        Assert.Throws<KvHandshakeException>(() => prefill.Accept(Payload(recordedProof), Prefill, out _));
    }

    [Fact]
    public void A_recorded_challenge_proves_nothing_to_a_fresh_hello()
    {
        KvHandshake decode = new(Secret);
        byte[] fresh = [.. DecodeNonce];
        fresh[31] ^= 1;
        decode.Hello(fresh);

        Assert.Throws<KvHandshakeException>(() => decode.Prove(Payload(GoldenBytes.Of("Challenge")), Decode, Wanted));
    }

    [Fact]
    public void Prefills_own_proof_sent_back_is_not_decodes()
    {
        KvHandshake prefill = new(Secret);
        byte[] challenge = prefill.Challenge(Payload(GoldenBytes.Of("Hello")), PrefillNonce), proof = Payload(GoldenBytes.Of("Proof")).ToArray();
        Payload(challenge)[^32..].CopyTo(proof.AsSpan(proof.Length - 32));

        Assert.Throws<KvHandshakeException>(() => prefill.Accept(proof, Prefill, out _));
    }

    [Fact]
    public void No_bit_of_what_decode_says_of_itself_can_be_changed()
    {
        byte[] proof = Payload(GoldenBytes.Of("Proof")).ToArray();

        for (int bit = 0; bit < proof.Length * 8; bit++)
        {
            KvHandshake prefill = new(Secret);
            prefill.Challenge(Payload(GoldenBytes.Of("Hello")), PrefillNonce);
            byte[] changed = [.. proof];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.Throws<KvHandshakeException>(() => prefill.Accept(changed, Prefill, out _));
        }
    }

    [Fact]
    public void Another_major_version_is_refused_with_both_versions()
    {
        byte[] hello = Payload(GoldenBytes.Of("Hello")).ToArray();
        hello[0] = 2;

        KvHandshakeException refused = Assert.Throws<KvHandshakeException>(() => new KvHandshake(Secret).Challenge(hello, PrefillNonce));

        Assert.Equal(FailureReason.PeerMismatch, refused.Failure.Reason);
        Assert.Contains("1.0", refused.Message, StringComparison.Ordinal);
        Assert.Contains("2.0", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_minor_version_is_fine()
    {
        byte[] hello = Payload(GoldenBytes.Of("Hello")).ToArray();
        hello[2] = 9;

        Assert.NotEmpty(new KvHandshake(Secret).Challenge(hello, PrefillNonce));
    }

    [Fact]
    public void Decode_that_looks_for_another_rank_is_told_which_one_it_found()
    {
        KvHandshakeException refused = Assert.Throws<KvHandshakeException>(() => Shake(Prefill, Decode, new DpRank(2)));

        Assert.Equal(FailureReason.RankUnavailable, refused.Failure.Reason);
        Assert.Contains("prefill rank 2", refused.Message, StringComparison.Ordinal);
        Assert.Contains("rank 3", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Different_models_are_refused_with_both_fingerprints()
    {
        KvHandshakeException refused = Assert.Throws<KvHandshakeException>(() => Shake(Prefill, Decode with { ModelFingerprint = "beef" }, Wanted));

        Assert.Equal(FailureReason.PeerMismatch, refused.Failure.Reason);
        Assert.Contains("'f00d'", refused.Message, StringComparison.Ordinal);
        Assert.Contains("'beef'", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Frames_of_a_wrong_length_are_refused_at_every_length()
    {
        byte[] proof = Payload(GoldenBytes.Of("Proof")).ToArray();

        for (int length = 0; length < proof.Length; length++)
        {
            KvHandshake prefill = new(Secret);
            prefill.Challenge(Payload(GoldenBytes.Of("Hello")), PrefillNonce);
            Assert.ThrowsAny<Exception>(() => prefill.Accept(proof.AsSpan(0, length), Prefill, out _));
        }
        Assert.Throws<KvProtocolException>(() => new KvHandshake(Secret).Challenge(new byte[35], PrefillNonce));
        Assert.Throws<KvProtocolException>(() => new KvHandshake(Secret).Prove(new byte[67], Decode, Wanted));
    }

    [Fact]
    public void The_largest_identity_fits_its_frame()
    {
        int[] rows = [.. Enumerable.Repeat(4096, KvIdentityCodec.MaxLayers)];
        KvIdentity big = Make.Prefill() with
        {
            Layout = new(rows, rows, 1, 1),
            InstanceId = new string('i', 999),
            ModelFingerprint = new string('f', 999),
            EngineOptions = new string('o', 9999),
        };
        byte[] bytes = new byte[KvFrameHeader.MaxControlBytes - 4 - KvHandshake.MacBytes];
        KvFieldWriter written = new(bytes);
        KvIdentityCodec.Write(big, ref written);
        KvFieldReader reader = new(bytes.AsSpan(0, written.Count), KvFrameType.Ready);

        Assert.Equal(big.Layout, KvIdentityCodec.Read(ref reader).Layout);
    }

    private static void Shake(KvIdentity prefillIdentity, KvIdentity decodeIdentity, DpRank wanted)
    {
        KvHandshake decode = new(Secret), prefill = new(Secret);
        byte[] challenge = prefill.Challenge(Payload(decode.Hello(DecodeNonce)), PrefillNonce);
        prefill.Accept(Payload(decode.Prove(Payload(challenge), decodeIdentity, wanted)), prefillIdentity, out _);
    }

    private static Span<byte> Payload(byte[] frame) => frame.AsSpan(KvFrameHeader.Size);
}
