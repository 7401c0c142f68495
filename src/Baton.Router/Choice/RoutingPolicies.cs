using Baton.Router.Rooms;

namespace Baton.Router.Choice;

/// <summary>The policies by name.</summary>
public static class RoutingPolicies
{
    public static readonly IReadOnlyList<string> Names =
        ["least_load", "random", "round_robin", "power_of_two", "cache_aware", "consistent_hash", "consistent_hashing", "bounded_consistent_hashing", "prefix_hash", "manual", "bucket", "passthrough"];

    /// <exception cref="ArgumentException">No policy has that name.</exception>
    public static IRoutingPolicy Create(string name, PolicyOptions options, RouterRandom random) => name switch
    {
        "least_load" => new LeastLoadPolicy(options),
        "random" => new RandomPolicy(random),
        "round_robin" => new RoundRobinPolicy(),
        "power_of_two" => new PowerOfTwoPolicy(random),
        "cache_aware" => new CacheAwarePolicy(options),
        "consistent_hash" or "consistent_hashing" => new ConsistentHashPolicy(options, isBounded: false),
        "bounded_consistent_hashing" => new ConsistentHashPolicy(options, isBounded: true),
        "prefix_hash" => new PrefixHashPolicy(options),
        "manual" => new ManualPolicy(options, random),
        "passthrough" => new PassthroughPolicy(),
        "bucket" => new BucketPolicy(options),
        _ => throw new ArgumentException($"'{name}' is not a routing policy. Use one of: {string.Join(", ", Names)}.", nameof(name)),
    };
}
