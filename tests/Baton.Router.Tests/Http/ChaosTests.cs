using Baton.Router.Trouble;
using Baton.Testing.Http;

namespace Baton.Router.Tests.Http;

/// <summary>A short seeded storm; the long one is <c>dotnet run -c Release --project bench/Baton.Benchmarks -- router-chaos</c>.</summary>
public sealed class ChaosTests
{
    [Theory]
    [InlineData(81)]
    public async Task Every_request_ends_and_every_credit_comes_back_in_a_storm(int seed)
    {
        await using ChaosFleet fleet = new(3, 3, seed);
        RouterOptions options = new()
        {
            TtftTimeout = TimeSpan.FromMilliseconds(500),
            StallTimeout = TimeSpan.FromSeconds(2),
            RequestTimeout = TimeSpan.FromSeconds(5),
            HealthCheckInterval = TimeSpan.FromMilliseconds(300),
            Retry = new RetryOptions { InitialBackoff = TimeSpan.FromMilliseconds(2) },
            Admission = new AdmissionOptions { MaxConcurrent = 30, QueueSize = 20, QueueTimeout = TimeSpan.FromSeconds(2) },
        };
        await using RouterHarness harness = await RouterHarness.StartAsync(fleet.Prefill, fleet.Decode, options);
        ChaosClients clients = new(harness.Server.Url, clients: 40, seed);
        using CancellationTokenSource end = new();

        Task asking = clients.RunAsync(end.Token);
        // Thirty rounds, and more where the machine is too slow for anything to end well in them.
        for (int round = 0; round < 30 || (round < 600 && !EndedWell()); round++)
        {
            fleet.Disturb();
            await Task.Delay(100);
        }
        await end.CancelAsync();
        await asking;
        fleet.Heal();

        Assert.True(clients.Violations.IsEmpty, string.Join(Environment.NewLine, clients.Violations));
        Assert.True(EndedWell(), string.Join(", ", clients.Ends));
        await RouterHarness.Until(() => harness.CreditsOut == 0 && harness.Server.Admitted is (0, 0), "every credit and every place is back");

        bool EndedWell() => clients.Ends.GetValueOrDefault("ok") > 0 && clients.Ends.GetValueOrDefault("streamed") > 0;
    }
}
