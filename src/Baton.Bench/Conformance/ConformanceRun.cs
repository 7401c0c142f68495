namespace Baton.Bench.Conformance;

public enum Verdict
{
    Pass,
    Fail,
    NotApplicable,
}

/// <param name="Seen">What the router did, or why the check could not be run.</param>
public sealed record ConformanceResult(ConformanceCheck Check, Verdict Verdict, string Seen, TimeSpan Took);

/// <summary>Brings a router and scripted workers together for one check after the other.</summary>
public interface IConformanceFleet : IAsyncDisposable
{
    /// <summary>Workers for one check, known to the router and ready.</summary>
    /// <exception cref="NotApplicableException">This fleet cannot be what the check needs.</exception>
    /// <exception cref="ConformanceException">The router does not take the workers.</exception>
    Task<ConformanceStage> StageAsync(ConformanceCheck check, CancellationToken ct);
}

public static class ConformanceRun
{
    /// <summary>Runs one check; what the router does wrong is a result and no exception.</summary>
    /// <exception cref="OperationCanceledException">Cancelled by <paramref name="ct"/>.</exception>
    public static async Task<ConformanceResult> RunAsync(IConformanceFleet fleet, ConformanceCheck check, TimeProvider time, CancellationToken ct)
    {
        long began = time.GetTimestamp();
        try
        {
            await using ConformanceStage stage = await fleet.StageAsync(check, ct);
            return Result(Verdict.Pass, await check.RunAsync(stage).WaitAsync(ct));
        }
        catch (NotApplicableException e)
        {
            return Result(Verdict.NotApplicable, e.Message);
        }
        catch (ConformanceException e)
        {
            return Result(Verdict.Fail, e.Message);
        }
        catch (Exception e) when (!ct.IsCancellationRequested && e is HttpRequestException or IOException or System.Text.Json.JsonException or KeyNotFoundException or InvalidOperationException or OperationCanceledException or TimeoutException or FormatException)
        {
            // An answer of another shape, a broken connection, or none at all.
            return Result(Verdict.Fail, $"{e.GetType().Name}: {e.Message}");
        }

        ConformanceResult Result(Verdict verdict, string seen) => new(check, verdict, seen, time.GetElapsedTime(began));
    }
}
