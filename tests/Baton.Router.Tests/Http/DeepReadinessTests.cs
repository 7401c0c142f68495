using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Forwarding;
using Baton.Router.Http;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Router.Tests.Http;

public sealed class DeepReadinessTests
{
    [Fact]
    public async Task What_a_deep_look_found_is_remembered_for_five_seconds_and_not_a_tick_longer()
    {
        await using ScriptedWorker unified = new(e => e.RespondAsync(200, """{"text":"hello","meta_info":{}}"""));
        VirtualTimeProvider time = new();
        RouterOptions options = new();
        WorkerFleet fleet = new(options.Breaker);
        fleet.Add(new WorkerSpec { Url = new Uri(unified.Url), Role = WorkerRole.Unified })!.Status = WorkerStatus.Ready;
        PdRouter router = new(options, fleet, seed: 1);
        using RouterMetrics metrics = new(router, () => 0, time);
        using HttpLegTransport transport = new(options.ConnectTimeout, time);
        PdForwarder forwarder = new(router, transport, options, metrics, new RouteJournal(), time, seed: 1, NullLogger<PdForwarder>.Instance);
        using DeepReadiness deep = new(router, forwarder, time);

        PairProbe found = Assert.Single(await deep.ProbeAsync(CancellationToken.None));
        time.Advance(TimeSpan.FromSeconds(5) - TimeSpan.FromTicks(1));
        await deep.ProbeAsync(CancellationToken.None);
        int remembered = unified.Seen.Count;
        time.Advance(TimeSpan.FromTicks(1));
        await deep.ProbeAsync(CancellationToken.None);

        Assert.True(found.Ok, found.Problem);
        Assert.Equal((1, 2), (remembered, unified.Seen.Count));
    }
}
