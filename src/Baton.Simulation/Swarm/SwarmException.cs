namespace Baton.Simulation.Swarm;

/// <summary>An invariant does not hold.</summary>
public sealed class SwarmException(string message) : Exception(message);
