using System.Collections.Concurrent;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;

namespace Baton.EndToEnd.Tests;

/// <summary>Many requests at once. A batch of another shape is computed by other matrix kernels, so the last bits of a logit may differ.</summary>
public sealed class ConcurrencyTests(SharedClusters clusters)
{
    private const int Clients = 32;
    /// <summary>Log probability by which two tokens may differ and still change places between kernels.</summary>
    private const double NearTie = 0.1;

    [Fact]
    public async Task Thirty_two_clients_get_the_answers_that_a_lone_client_gets()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        ReferenceAnswer[] reference = await clusters.ReferenceAsync();
        ConcurrentQueue<(ReferenceAnswer Expected, Generation Actual)> answers = new();

        ConcurrentQueue<ReferenceAnswer> todo = new(reference.Concat(reference));
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async _ =>
        {
            while (todo.TryDequeue(out ReferenceAnswer? expected)) answers.Enqueue((expected, await client.GenerateAsync(expected.Request)));
        }));

        AssertNearlyAllEqual([.. answers]);
    }

    [Fact]
    public async Task A_batch_in_one_request_gets_the_answers_of_its_prompts_in_order()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        List<(ReferenceAnswer, Generation)> answers = [];

        foreach (ReferenceAnswer[] batch in (await clusters.ReferenceAsync()).Chunk(16))
        {
            Generation[] generations = await client.GenerateBatchAsync([.. batch.Select(one => one.Request)]);
            answers.AddRange(batch.Zip(generations));
        }

        AssertNearlyAllEqual(answers);
    }

    private static void AssertNearlyAllEqual(List<(ReferenceAnswer Expected, Generation Actual)> answers)
    {
        (ReferenceAnswer Expected, Generation Actual)[] different =
            [.. answers.Where(pair => !pair.Expected.Answer.TokenIds.SequenceEqual(pair.Actual.TokenIds))];
        string report = string.Join('\n', different.Select(pair => Describe(pair.Expected, pair.Actual)));

        Assert.All(different, pair => Assert.True(GapAtDivergence(pair.Expected, pair.Actual) < NearTie, Describe(pair.Expected, pair.Actual)));
        Assert.True(different.Length * 100 <= answers.Count, $"{different.Length} of {answers.Count} answers differ, all at near-ties:\n{report}");
    }

    /// <summary>How far apart the unified server saw its two best tokens, at the first place where the answers differ.</summary>
    private static double GapAtDivergence(ReferenceAnswer expected, Generation actual)
    {
        int at = expected.Answer.TokenIds.Zip(actual.TokenIds).TakeWhile(pair => pair.First == pair.Second).Count();
        return at < expected.Answer.Tokens.Count ? expected.Answer.Tokens[at].TopGap : double.PositiveInfinity;
    }

    private static string Describe(ReferenceAnswer expected, Generation actual) =>
        $"prompt of {expected.Request.InputIds.Count} tokens: {string.Join(' ', expected.Answer.TokenIds)} | {string.Join(' ', actual.TokenIds)}"
        + $" | gap of the two best at the divergence {GapAtDivergence(expected, actual):0.0000}";
}
