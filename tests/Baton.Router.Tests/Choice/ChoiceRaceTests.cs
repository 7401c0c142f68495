using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Trouble;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

public sealed class ChoiceRaceTests
{
    [Fact]
    public void Of_many_requests_at_once_one_is_the_probe_of_a_half_open_breaker()
    {
        for (ulong round = 1; round <= 200; round++)
        {
            BreakerOptions breaker = new() { OpenTime = TimeSpan.FromSeconds(1) };
            WorkerFleet fleet = new(breaker);
            Worker ill = fleet.Add(Spec("http://ill:1"))!, well = fleet.Add(Spec("http://well:1"))!;
            ill.Status = well.Status = WorkerStatus.Ready;
            for (int i = 0; i < 10; i++) ill.Ranks[0].Breaker.End(LegOutcome.Failure, false, TimeSpan.Zero);
            PdRouter router = new(new RouterOptions { Policy = "least_load" }, fleet, round);
            Route?[] routes = new Route?[16];
            using Barrier start = new(4);

            Thread[] threads = [.. Enumerable.Range(0, 4).Select(t => new Thread(() =>
            {
                start.SignalAndWait();
                for (int i = t; i < routes.Length; i += 4)
                    routes[i] = router.Choose(new RouteQuery(new RequestFacts { Endpoint = DataEndpoint.Generate }, null, default), TimeSpan.FromSeconds(1)).Route;
            }))];
            foreach (Thread thread in threads) thread.Start();
            foreach (Thread thread in threads) thread.Join();

            Assert.Equal(1, routes.Count(r => r!.Decode.Worker == ill));
        }
    }

    [Fact]
    public void Whoever_sees_the_credits_back_sees_how_the_leg_ended()
    {
        for (ulong round = 1; round <= 2000; round++)
        {
            WorkerFleet fleet = new(new BreakerOptions { FailureThreshold = 1 });
            Worker worker = fleet.Add(Spec("http://one:1"))!;
            worker.Status = WorkerStatus.Ready;
            Route route = new PdRouter(new RouterOptions(), fleet, round).Choose(new RouteQuery(new RequestFacts { Endpoint = DataEndpoint.Generate }, null, default), TimeSpan.Zero).Route!;
            using Barrier start = new(2);
            Thread ending = new(() =>
            {
                start.SignalAndWait();
                route.EndDecode(LegOutcome.Failure, TimeSpan.Zero);
            });
            ending.Start();

            start.SignalAndWait();
            SpinWait.SpinUntil(() => worker.InFlight == 0);
            BreakerState seen = worker.Ranks[0].Breaker.State;
            ending.Join();

            Assert.Equal(BreakerState.Open, seen);
        }
    }

    private static WorkerSpec Spec(string url) => new() { Url = new Uri(url), Role = WorkerRole.Unified };
}
