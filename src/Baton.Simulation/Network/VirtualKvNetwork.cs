using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Simulation.Events;
using Baton.Transfer.Links;

namespace Baton.Simulation.Network;

/// <summary>KV links over the virtual network: ordered frames with a latency and a bandwidth, which hosts and partitions can break.</summary>
public sealed class VirtualKvNetwork(EventLoop loop, NetworkOptions options, Reachability hosts, EventLog? log = null)
{
    private readonly Dictionary<KvEndpoint, (string Host, KvInbox Inbox, KvIdentity Self)> _listeners = [];
    private readonly List<VirtualKvPair> _pairs = [];
    private int _made;

    /// <summary>A prefill rank on <paramref name="host"/> answers at this endpoint from now on.</summary>
    public void Listen(KvEndpoint endpoint, string host, KvInbox inbox, KvIdentity self) => _listeners[endpoint] = (host, inbox, self);

    public void StopListening(KvEndpoint endpoint) => _listeners.Remove(endpoint);

    /// <summary>The connector of one decode rank on <paramref name="host"/>.</summary>
    public IKvConnector For(string host, KvIdentity decode) => new Connector(this, host, decode);

    /// <summary>Links that are connecting or open now.</summary>
    public IReadOnlyList<VirtualKvPair> Pairs => _pairs;

    internal NetworkOptions Options => options;

    internal Reachability Hosts => hosts;

    internal EventLog Log { get; } = log ?? new EventLog();

    internal LinkTroubles Troubles { get; } = new();

    internal void Remove(VirtualKvPair pair) => _pairs.Remove(pair);

    private VirtualKvPair.End Connect(KvEndpoint endpoint, KvInbox inbox, string host, KvIdentity decode)
    {
        VirtualKvPair pair = new(this, loop, ++_made, host, decode, inbox);
        _pairs.Add(pair);
        loop.After(2 * options.Latency, () => Handshake(pair, endpoint, decode));
        return pair.DecodeEnd;
    }

    private void Handshake(VirtualKvPair pair, KvEndpoint endpoint, KvIdentity decode)
    {
        if (!_listeners.TryGetValue(endpoint, out (string Host, KvInbox Inbox, KvIdentity Self) prefill))
        {
            pair.Break(RequestFailure.Of(FailureReason.LinkLost, $"Nothing listens at {endpoint.Host}:{endpoint.Port}."));
        }
        else if (!hosts.CanTalk(pair.DecodeHost, prefill.Host))
        {
            loop.After(options.PeerTimeout, () => pair.Break(RequestFailure.Of(FailureReason.LinkLost, $"{endpoint.Host}:{endpoint.Port} does not answer.")));
        }
        else if (KvIdentity.FindMismatch(prefill.Self, decode) is { } mismatch)
        {
            pair.Break(mismatch);
        }
        else
        {
            pair.Open(prefill.Host, prefill.Inbox, prefill.Self, decode);
        }
    }

    private sealed class Connector(VirtualKvNetwork network, string host, KvIdentity decode) : IKvConnector
    {
        public IKvLink Connect(KvEndpoint endpoint, KvInbox inbox) => network.Connect(endpoint, inbox, host, decode);
    }
}
