using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Links;

/// <summary>Links between ranks of one process: frames and buffers change hands, nothing is copied or written.</summary>
/// <remarks>
/// The same state machines as over TCP, with the handshake's comparison of identities. Payloads are not scanned for NaN: they come
/// from an engine of this process. Thread-safe.
/// </remarks>
public sealed class InProcessKvNetwork
{
    private readonly Lock _lock = new();
    private readonly Dictionary<KvEndpoint, (KvInbox Inbox, KvIdentity Self)> _listeners = [];

    /// <summary>A prefill rank answers at this endpoint from now on.</summary>
    public void Listen(KvEndpoint endpoint, KvInbox inbox, KvIdentity self)
    {
        lock (_lock) _listeners[endpoint] = (inbox, self);
    }

    /// <summary>New links to the endpoint are refused; those that are open stay.</summary>
    public void StopListening(KvEndpoint endpoint)
    {
        lock (_lock) _listeners.Remove(endpoint);
    }

    /// <summary>The connector of one decode rank.</summary>
    public IKvConnector For(KvIdentity decode) => new Connector(this, decode);

    private InProcessKvLink Connect(KvEndpoint endpoint, KvInbox inbox, KvIdentity decode)
    {
        (KvInbox Inbox, KvIdentity Self) prefill;
        bool isThere;
        lock (_lock) isThere = _listeners.TryGetValue(endpoint, out prefill);

        InProcessKvLink decodeEnd = new(inbox);
        RequestFailure? refusal = isThere
            ? KvIdentity.FindMismatch(prefill.Self, decode)
            : RequestFailure.Of(FailureReason.LinkLost, $"No prefill rank listens at {endpoint.Host}:{endpoint.Port} in this process.");
        if (refusal is not null)
        {
            decodeEnd.Close(refusal);
            return decodeEnd;
        }
        InProcessKvLink prefillEnd = new(prefill.Inbox) { Other = decodeEnd };
        decodeEnd.Other = prefillEnd;
        prefill.Inbox.Opened(prefillEnd, decode);
        inbox.Opened(decodeEnd, prefill.Self);
        return decodeEnd;
    }

    private sealed class Connector(InProcessKvNetwork network, KvIdentity decode) : IKvConnector
    {
        public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox) => network.Connect(endpoint, inbox, decode);
    }
}

/// <summary>One end of an in-process link.</summary>
/// <param name="inbox">Of the rank that holds this end.</param>
internal sealed class InProcessKvLink(KvInbox inbox) : IKvLink
{
    private int _isClosed;

    /// <summary>The peer's end; null on a link that was refused.</summary>
    public InProcessKvLink? Other { get; set; }

    public void Send(in KvFrame frame)
    {
        if (Volatile.Read(ref _isClosed) == 0 && Other is { } other && other.TryDeliver(frame)) return;
        frame.Payload?.Dispose();
        if (Volatile.Read(ref _isClosed) == 0)
            Close(RequestFailure.Of(FailureReason.LinkLost, "The other rank does not take the frames that are waiting for it."));
    }

    public void Close(RequestFailure why)
    {
        End(why);
        Other?.End(why);
    }

    private bool TryDeliver(in KvFrame frame) => Volatile.Read(ref _isClosed) == 0 && inbox.TryPost(this, frame);

    private void End(RequestFailure why)
    {
        if (Interlocked.Exchange(ref _isClosed, 1) == 0) inbox.Closed(this, why);
    }
}
