using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Benchmarks;

/// <summary>Measurements print their own lines.</summary>
internal sealed class QuietObserver : IBenchObserver
{
    public void OnEnded(RequestRecord record)
    {
    }

    public void OnPhase(string what)
    {
    }

    public void OnRunStarting(int requests)
    {
    }
}
