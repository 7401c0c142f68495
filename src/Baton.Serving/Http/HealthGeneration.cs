using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;

namespace Baton.Serving.Http;

/// <summary>A real one-token generation on every rank. On prefill and decode workers it goes through the fake host, so it needs no peer.</summary>
internal static class HealthGeneration
{
    /// <returns>Null when every rank answered, else which did not and why.</returns>
    public static async Task<string?> FindProblemAsync(Worker worker, CancellationToken ct)
    {
        using CancellationTokenSource deadline = new(worker.Options.HealthCheckTimeout, worker.Clock.Time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, ct);
        try
        {
            string?[] problems = await Task.WhenAll(worker.Ranks.Select(rank => TryRankAsync(worker, rank.Rank.DpRank, either.Token)));
            return problems.FirstOrDefault(problem => problem is not null);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return $"no token within {worker.Options.HealthCheckTimeout.TotalSeconds:0.#} s";
        }
    }

    private static async Task<string?> TryRankAsync(Worker worker, DpRank rank, CancellationToken ct)
    {
        PlannedSequence probe = new()
        {
            Id = new RequestId($"HEALTH_CHECK_{worker.Calls.NextRequestId()}"),
            PromptTokens = [0],
            Sampling = SamplingOptions.Greedy with { MaxNewTokens = 1 },
            Output = OutputOptions.Default,
            Bootstrap = worker.Options.Role == WorkerRole.Unified
                ? null
                : new BootstrapInfo(new BootstrapAddress(BootstrapAddress.FakeHost, BootstrapAddress.DefaultPort), new BootstrapRoom(0), null),
            RoutedDpRank = rank,
            // Before the queue of clients: the question is whether the rank computes, not how long its queue is.
            Priority = int.MaxValue,
        };
        using SequenceRun? run = worker.Start(probe, out RequestFailure? failure);
        if (run is null) return failure!.Message;
        while (await run.AdvanceAsync(ct))
        {
        }
        return run.Answer.End!.Failure?.Message;
    }
}
