using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

/// <summary>The list of all ranks is kept from one request to the next: what changes in between must be seen.</summary>
public sealed class KeptCandidatesTests
{
    private readonly WorkerFleet _fleet = new();
    private readonly PdRouter _router;
    private readonly Worker _prefill;

    public KeptCandidatesTests()
    {
        _prefill = Add(WorkerRole.Prefill, "http://p:1", dpSize: 2);
        Add(WorkerRole.Decode, "http://d:1", dpSize: 3);
        _router = new PdRouter(new RouterOptions(), _fleet, seed: 1);
    }

    [Fact]
    public void Ranks_that_a_worker_gains_or_loses_are_seen_by_the_next_request()
    {
        Assert.Equal([0, 1], Ranks(2).Order());

        _prefill.Learn(WorkerInfo.Unknown with { DpSize = 4 });
        Assert.Equal([2, 3], Ranks(2).Order()); // the idle ones

        _prefill.Learn(WorkerInfo.Unknown with { DpSize = 1 });
        Assert.Equal([null, null], Ranks(2)); // one rank needs no number
    }

    [Fact]
    public void A_rank_whose_breaker_opens_is_left_out_until_it_admits_a_probe()
    {
        Ranks(1);
        for (int i = 0; i < 10; i++) _prefill.Rank(1).Breaker.End(LegOutcome.Failure, wasProbe: false, TimeSpan.Zero);

        Assert.All(Ranks(5), rank => Assert.Equal(0, rank));
        Assert.Equal(1, Ranks(1, TimeSpan.FromSeconds(15))[0]);   // the probe
        Assert.Equal(0, Ranks(1, TimeSpan.FromSeconds(15))[0]);   // one at a time
    }

    [Fact]
    public void Workers_that_come_leave_or_are_not_ready_are_seen_by_the_next_request()
    {
        Ranks(1);
        Worker second = Add(WorkerRole.Prefill, "http://p:2", dpSize: 1);
        Assert.Contains(second, Chosen(4));

        second.Status = WorkerStatus.Pending;
        Assert.DoesNotContain(second, Chosen(4));

        second.Status = WorkerStatus.Ready;
        _fleet.Remove(_prefill);
        Assert.All(Chosen(3), worker => Assert.Same(second, worker));
    }

    [Fact]
    public void A_worker_that_failed_this_request_is_avoided()
    {
        Worker second = Add(WorkerRole.Prefill, "http://p:2", dpSize: 1);
        Chosen(1);

        RouteQuery again = Query with { Avoid = [_prefill] };

        for (int i = 0; i < 4; i++) Assert.Same(second, _router.Choose(again, TimeSpan.Zero).Route!.Prefill!.Value.Worker);
    }

    private static RouteQuery Query => new(new RequestFacts { Endpoint = DataEndpoint.Generate, PromptTokens = 10 }, Key: null, Prompt: default);

    private int?[] Ranks(int requests, TimeSpan now = default) => [.. Enumerable.Range(0, requests).Select(_ => _router.Choose(Query, now).Route!.Prefill!.Value.Rank)];

    private Worker[] Chosen(int requests) => [.. Enumerable.Range(0, requests).Select(_ => _router.Choose(Query, TimeSpan.Zero).Route!.Prefill!.Value.Worker)];

    private Worker Add(WorkerRole role, string url, int dpSize)
    {
        Worker worker = _fleet.Add(new WorkerSpec { Url = new Uri(url), Role = role, DpSize = dpSize, BootstrapPort = 8998 })!;
        worker.Status = WorkerStatus.Ready;
        return worker;
    }
}
