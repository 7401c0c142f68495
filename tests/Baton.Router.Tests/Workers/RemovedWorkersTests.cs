using Baton.Core.Ids;
using Baton.Core.Metrics;
using Baton.Router.Workers;
using Baton.Simulation.Clock;

namespace Baton.Router.Tests.Workers;

public sealed class RemovedWorkersTests : IDisposable
{
    private static readonly TimeSpan AMoment = TimeSpan.FromTicks(1);
    private readonly VirtualTimeProvider _time = new();
    private readonly WorkerFleet _fleet = new();
    private readonly RouterMetrics _metrics;
    private readonly MetricsCollector _collector;

    public RemovedWorkersTests()
    {
        _metrics = new RouterMetrics(new PdRouter(new RouterOptions(), _fleet, seed: 1), () => 0, _time);
        _collector = new MetricsCollector(_metrics.Owns);
    }

    public void Dispose()
    {
        _collector.Dispose();
        _metrics.Dispose();
    }

    [Fact]
    public void The_breakers_of_a_removed_worker_are_minus_one_for_five_minutes_and_then_gone()
    {
        Remove(Add(1, dpSize: 2));

        string[] atOnce = BreakerStates();
        _time.Advance(RemovedWorkers.KeptFor - AMoment);
        string[] late = BreakerStates();
        _time.Advance(AMoment);

        Assert.Equal(["{rank=\"0\",worker=\"http://10.0.0.1:1\"} -1", "{rank=\"1\",worker=\"http://10.0.0.1:1\"} -1"], atOnce);
        Assert.Equal(atOnce, late);
        Assert.Empty(BreakerStates());
    }

    [Fact]
    public void A_worker_that_is_back_has_its_own_breaker_again_and_its_next_removal_counts_anew()
    {
        Remove(Add(1));
        Worker back = Add(1);
        string[] there = BreakerStates();
        _time.Advance(RemovedWorkers.KeptFor - AMoment);
        Remove(back);
        string[] again = BreakerStates();
        _time.Advance(AMoment);

        Assert.Equal(["{rank=\"0\",worker=\"http://10.0.0.1:1\"} 0"], there);
        Assert.Equal(["{rank=\"0\",worker=\"http://10.0.0.1:1\"} -1"], again);
        Assert.Equal(again, BreakerStates());
    }

    [Fact]
    public void Of_many_removed_workers_the_newest_256_are_remembered()
    {
        for (int port = 1; port <= RemovedWorkers.KeptCount + 1; port++) Remove(Add(port));

        string[] states = BreakerStates();

        Assert.Equal(256, states.Length);
        Assert.DoesNotContain(states, state => state.Contains("10.0.0.1:1\"", StringComparison.Ordinal));
    }

    private Worker Add(int port, int dpSize = 1) => _fleet.Add(new WorkerSpec { Url = new Uri($"http://10.0.0.1:{port}"), Role = WorkerRole.Decode, DpSize = dpSize })!;

    private void Remove(Worker worker)
    {
        _fleet.Remove(worker);
        _metrics.Deregistered(worker);
    }

    private string[] BreakerStates()
    {
        const string Name = "baton_worker_cb_state";
        return [.. PrometheusText.Write(_collector.Collect()).Split('\n').Where(line => line.StartsWith(Name + "{", StringComparison.Ordinal)).Select(line => line[Name.Length..])];
    }
}
