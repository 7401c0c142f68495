namespace Baton.Simulation.Faults;

/// <summary>A fault script cannot be used. Each line of the message names a line of the script.</summary>
public sealed class FaultScriptException(string message) : FormatException(message);
