namespace Baton.Cli;

/// <summary>The one place that names the system clock: everything below the composition root is handed it.</summary>
internal static class ProductionClock
{
#pragma warning disable RS0030 // This is the place that the rule leaves open.
    public static TimeProvider Time => TimeProvider.System;
#pragma warning restore RS0030
}
