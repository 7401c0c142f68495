using System.Buffers;
using System.Net.Sockets;
using Baton.Core.Failures;
using Baton.Transfer.Links;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tcp;

/// <summary>The handshake's way to send and to wait for the next frame.</summary>
internal readonly struct KvSocketFrames(Socket socket, KvSocketReader reader)
{
    public async ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken ct)
    {
        while (!frame.IsEmpty) frame = frame[await socket.SendAsync(frame, SocketFlags.None, ct)..];
    }

    /// <exception cref="KvHandshakeException">The peer refused, or hung up.</exception>
    /// <exception cref="KvProtocolException">Another frame came.</exception>
    public async ValueTask<byte[]> ExpectAsync(KvFrameType type, string who, CancellationToken ct)
    {
        if (await reader.ReadHandshakeAsync(ct) is not { } read)
            throw new KvHandshakeException(RequestFailure.Of(FailureReason.LinkLost, $"{who} hung up during the handshake."));
        if (read.Type == type) return read.Payload;
        if (read.Type != KvFrameType.Goodbye) throw new KvProtocolException($"A {read.Type} frame came where {type} was due.");
        KvFrame goodbye = KvFrameCodec.ReadGoodbye(read.Payload);
        throw new KvHandshakeException(PeerFailures.Translate(goodbye.Reason, goodbye.Text, $"{who} refused the handshake"));
    }

    /// <summary>Tells the peer why, if it still listens.</summary>
    public async ValueTask TryRefuseAsync(RequestFailure why, CancellationToken ct)
    {
        ArrayBufferWriter<byte> goodbye = new();
        KvFrameCodec.WriteControl(KvFrame.ForGoodbye(why), goodbye);
        try
        {
            await SendAsync(goodbye.WrittenMemory, ct);
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // It hung up first, so it does not need to be told.
        }
    }
}
