namespace Baton.Testing;

/// <summary>Counts what a piece of code allocates on this thread.</summary>
public static class Allocations
{
    /// <summary>The least of several windows: the runtime itself allocates now and then (tier-up), but what happens per step happens in every window.</summary>
    public static long PerWindow(Action window)
    {
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            window();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
