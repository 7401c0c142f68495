using Baton.Router.Rooms;

namespace Baton.Router.Choice;

/// <summary>The policies by name.</summary>
public static class RoutingPolicies
{
    public static readonly IReadOnlyList<string> Names = ["least_load", "random", "round_robin", "power_of_two"];

    /// <exception cref="ArgumentException">No policy has that name.</exception>
    public static IRoutingPolicy Create(string name, RouterRandom random) => name switch
    {
        "least_load" => new LeastLoadPolicy(),
        "random" => new RandomPolicy(random),
        "round_robin" => new RoundRobinPolicy(),
        "power_of_two" => new PowerOfTwoPolicy(random),
        _ => throw new ArgumentException($"'{name}' is not a routing policy. Use one of: {string.Join(", ", Names)}.", nameof(name)),
    };
}
