using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Router.Choice;
using Baton.Router.Trouble;

namespace Baton.Simulation.Cluster;

/// <summary>Both legs of one request as the router sends them: at once, and each ends the other when it fails.</summary>
internal sealed class Legs(SimulatedCluster cluster, RequestRecord record, Route route)
{
    private readonly PrefillWorker _prefill = cluster.PrefillOf(route.Prefill!.Value);
    private readonly DecodeWorker _decode = cluster.DecodeOf(route.Decode);
    private bool _isOver;
    private bool _isPrefillOver;

    public string PrefillName => _prefill.Name;

    public string DecodeName => _decode.Name;

    public void Start(int[] prompt, int outputTokens)
    {
        DpRank? prefillRank = route.Prefill!.Value.Rank is { } p ? new DpRank(p) : null;
        DpRank? decodeRank = route.Decode.Rank is { } d ? new DpRank(d) : null;
        GenerationRequest request = new()
        {
            Id = new RequestId($"r{record.Index}"),
            PromptTokens = prompt,
            Sampling = new SamplingOptions { Temperature = 0, MaxNewTokens = outputTokens },
            Bootstrap = new BootstrapInfo(_prefill.Address, record.Room, prefillRank),
            Sink = new ClientLeg(cluster.Loop, record, isDecode: true, cluster.Gaps, DecodeEnded, DecodeBegan),
        };
        GenerationRequest first = request with
        {
            Sink = new ClientLeg(cluster.Loop, record, isDecode: false, cluster.Gaps, PrefillEnded),
            RoutedDpRank = prefillRank,
        };
        cluster.Loop.After(cluster.Latency, () => Arrive(_prefill.Name, () => _prefill.IsDead, () => _prefill.Accept(first)));
        cluster.Loop.After(cluster.Latency, () => Arrive(_decode.Name, () => _decode.IsDead, () => _decode.Accept(request with { RoutedDpRank = decodeRank })));
    }

    /// <summary>The client went away.</summary>
    public void HangUp() => Finish(null, RequestFailure.Of(FailureReason.Aborted, $"The client of r{record.Index} hung up."));

    /// <summary>The connection to a worker broke.</summary>
    public void Lose(string host)
    {
        if (host == _decode.Name || (host == _prefill.Name && !_isPrefillOver)) Finish(null, RequestFailure.Of(FailureReason.PeerFailed, $"{host} reset the connection."));
    }

    private void Arrive(string host, Func<bool> isDead, Action accept)
    {
        if (_isOver) return;
        if (isDead() || !cluster.Hosts.CanTalk("router", host)) Finish(null, RequestFailure.Of(FailureReason.PeerFailed, $"{host} does not answer."));
        else accept();
    }

    private void PrefillEnded(GenerationEnd end)
    {
        route.EndPrefill(Outcome(end.Failure), cluster.Loop.Now);
        _isPrefillOver = true;
        record.PrefillRank = end.DpRank;
        _prefill.Ended();
        if (end.Failure is { } failure) cluster.Loop.After(cluster.Latency, () => Finish(null, failure));
    }

    private void DecodeBegan() => cluster.Loop.After(cluster.Latency, () => route.EndPrompt(cluster.Loop.Now));

    private void DecodeEnded(GenerationEnd end)
    {
        _decode.Ended();
        cluster.Loop.After(cluster.Latency, () => Finish(end, end.Failure));
    }

    /// <summary>The client has its end; whatever leg still runs is cancelled.</summary>
    private void Finish(GenerationEnd? end, RequestFailure? failure)
    {
        if (_isOver) return;
        _isOver = true;
        route.EndDecode(end is null ? LegOutcome.Neutral : Outcome(end.Failure), cluster.Loop.Now);
        cluster.End(record, end, failure);
        if (failure is null || !cluster.Options.RouterCancelsLegs) return;
        RequestId id = new($"r{record.Index}");
        RequestFailure gone = RequestFailure.Of(FailureReason.Aborted, $"The other leg of r{record.Index} failed: {failure.Message}");
        cluster.Loop.After(cluster.Latency, () =>
        {
            if (!_prefill.IsDead) _prefill.Abort(id, gone);
            if (!_decode.IsDead) _decode.Abort(id, gone);
        });
    }

    /// <summary>What the router's breaker makes of an end, as it reads the same end's HTTP status.</summary>
    private static LegOutcome Outcome(RequestFailure? failure) => failure switch
    {
        null => LegOutcome.Success,
        _ when failure.Reason.HttpStatus >= 500 => LegOutcome.Failure,
        _ => LegOutcome.Neutral,
    };
}
