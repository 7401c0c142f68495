using System.Net;
using Baton.Bench.Load;

namespace Baton.Bench.Runs;

/// <summary>Waits for a server that is starting, as bench_serving does.</summary>
internal static class Readiness
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>A server that loads its model refuses connections or answers 503; any other answer means that it is there.</summary>
    /// <param name="say">Told once, when there is something to wait for.</param>
    /// <exception cref="BenchException">Nothing but that within <see cref="BenchSettings.ReadyTimeout"/>.</exception>
    public static async Task WaitAsync(BenchSettings settings, BenchClient client, TimeProvider time, Action<string> say, CancellationToken ct)
    {
        if (settings.ReadyTimeout <= TimeSpan.Zero) return;
        RunClock clock = new(time);
        bool isSaid = false;
        while (await client.TryStatusAsync("/v1/models", time, ct) is null or HttpStatusCode.ServiceUnavailable)
        {
            if (clock.Now >= settings.ReadyTimeout)
                throw new BenchException($"{client.Options.BaseUrl} was not ready within {settings.ReadyTimeout.TotalSeconds} s. Check --base-url, or raise --ready-check-timeout-sec.");
            if (!isSaid) say($"Waiting up to {settings.ReadyTimeout.TotalSeconds}s for {client.Options.BaseUrl} to become ready...");
            isSaid = true;
            await Task.Delay(Interval, time, ct);
        }
    }
}
