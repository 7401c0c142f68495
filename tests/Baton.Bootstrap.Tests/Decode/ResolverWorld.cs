using System.IO.Pipelines;
using Baton.Bootstrap.Decode;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Bootstrap.Tests.Decode;

/// <summary>One decode worker's resolver and one bootstrap server in virtual time. Everything happens inside Begin and Advance.</summary>
internal sealed class ResolverWorld : IRankResolutionSink
{
    public static readonly BootstrapAddress Address = new("10.0.0.1", 8998);

    public ResolverWorld(RankResolverOptions? options = null, Random? random = null, ILogger<RankResolver>? logger = null, PipeScheduler? scheduler = null)
    {
        Server = new VirtualBootstrap(Time);
        Resolver = new RankResolver(options ?? new RankResolverOptions(), Server, Time, random ?? new Random(81), scheduler ?? PipeScheduler.Inline, logger ?? NullLogger<RankResolver>.Instance);
    }

    public VirtualTimeProvider Time { get; } = new();

    public VirtualBootstrap Server { get; }

    public RankResolver Resolver { get; }

    public Dictionary<ulong, (ResolvedRank Rank, TimeSpan At)> Resolved { get; } = [];

    public Dictionary<ulong, (RequestFailure Failure, TimeSpan At)> Failed { get; } = [];

    public void Begin(ulong room, int? hint = null) =>
        Resolver.Begin(new BootstrapInfo(Address, new BootstrapRoom(room), hint is { } rank ? new DpRank(rank) : null), this);

    public void Redirect(ulong room, int rightRank, int? hint = null) =>
        Resolver.BeginRedirect(new BootstrapInfo(Address, new BootstrapRoom(room), hint is { } rank ? new DpRank(rank) : null), new DpRank(rightRank), this);

    public void Advance(double milliseconds) => Time.Advance(TimeSpan.FromMilliseconds(milliseconds));

    /// <summary>Fetches topology and endpoints, so that what follows starts warm.</summary>
    public void WarmUp(int dpSize)
    {
        for (int rank = 0; rank < dpSize; rank++) Begin(1_000_000 + (ulong)rank, rank);
        Advance(10);
        Assert.Equal(dpSize, Resolved.Count);
        Resolved.Clear();
        Server.Calls.Clear();
    }

    public void OnResolved(BootstrapRoom room, ResolvedRank resolved)
    {
        Assert.False(Failed.ContainsKey(room.Value), "a room ends once");
        Resolved.Add(room.Value, (resolved, Time.Now));
    }

    public void OnResolveFailed(BootstrapRoom room, RequestFailure failure)
    {
        Assert.False(Resolved.ContainsKey(room.Value), "a room ends once");
        Failed.Add(room.Value, (failure, Time.Now));
    }
}
