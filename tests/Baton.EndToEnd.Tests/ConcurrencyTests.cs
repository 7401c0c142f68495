using System.Collections.Concurrent;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;

namespace Baton.EndToEnd.Tests;

/// <summary>Many requests at once. A batch of another shape is computed by other matrix kernels, so the last bits of a logit may differ.</summary>
/// <remarks>
/// How often that changes a token depends on how sure the model is. Chats that it was trained on: at least 99 % of the answers are equal.
/// Arbitrary tokens, where its logits are flat and a wrong bit shows soonest: nearly all, and every difference is at a near-tie.
/// </remarks>
public sealed class ConcurrencyTests(SharedClusters clusters)
{
    private const int Clients = 32;
    private const int BatchSize = 16;
    private const int SurePercent = 99;
    private const int FlatPercent = 95;
    /// <summary>Log probability by which two tokens may differ and still change places: other chunk boundaries move a logit by up to 0.04, in either direction.</summary>
    private const double NearTie = 0.15;

    [Fact]
    public async Task Thirty_two_clients_get_the_answers_that_a_lone_client_gets() =>
        AssertNearlyAllEqual(await AskAtOnceAsync(await clusters.RecallAsync()), SurePercent);

    [Fact]
    public async Task Thirty_two_clients_with_arbitrary_tokens_get_other_answers_only_at_near_ties() =>
        AssertNearlyAllEqual(await AskAtOnceAsync(await clusters.ReferenceAsync()), FlatPercent);

    [Fact]
    public async Task A_batch_in_one_request_gets_the_answers_of_its_prompts_in_order() =>
        AssertNearlyAllEqual(await AskInBatchesAsync(await clusters.RecallAsync()), SurePercent);

    [Fact]
    public async Task A_batch_of_arbitrary_tokens_gets_other_answers_only_at_near_ties() =>
        AssertNearlyAllEqual(await AskInBatchesAsync(await clusters.ReferenceAsync()), FlatPercent);

    private async Task<List<(ReferenceAnswer Expected, Generation Actual)>> AskAtOnceAsync(ReferenceAnswer[] reference)
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        ConcurrentQueue<ReferenceAnswer> todo = new(reference);
        ConcurrentQueue<(ReferenceAnswer, Generation)> answers = new();
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async _ =>
        {
            while (todo.TryDequeue(out ReferenceAnswer? expected)) answers.Enqueue((expected, await client.GenerateAsync(expected.Request)));
        }));
        return [.. answers];
    }

    private async Task<List<(ReferenceAnswer Expected, Generation Actual)>> AskInBatchesAsync(ReferenceAnswer[] reference)
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        List<(ReferenceAnswer, Generation)> answers = [];
        foreach (ReferenceAnswer[] batch in reference.Chunk(BatchSize))
            answers.AddRange(batch.Zip(await client.GenerateBatchAsync([.. batch.Select(one => one.Request)])));
        return answers;
    }

    private static void AssertNearlyAllEqual(List<(ReferenceAnswer Expected, Generation Actual)> answers, int percent)
    {
        (ReferenceAnswer Expected, Generation Actual)[] different =
            [.. answers.Where(pair => !pair.Expected.Answer.TokenIds.SequenceEqual(pair.Actual.TokenIds))];
        string report = string.Join('\n', different.Select(pair => Describe(pair.Expected, pair.Actual)));
        TestContext.Current.TestOutputHelper?.WriteLine($"{different.Length} of {answers.Count} answers differ\n{report}");

        Assert.All(different, pair => Assert.True(GapAtDivergence(pair.Expected, pair.Actual) < NearTie, Describe(pair.Expected, pair.Actual)));
        Assert.True((answers.Count - different.Length) * 100 >= answers.Count * percent, $"{different.Length} of {answers.Count} answers differ, all at near-ties:\n{report}");
    }

    /// <summary>How far apart the unified server saw its two best tokens, at the first place where the answers differ.</summary>
    private static double GapAtDivergence(ReferenceAnswer expected, Generation actual)
    {
        int at = expected.Answer.TokenIds.Zip(actual.TokenIds).TakeWhile(pair => pair.First == pair.Second).Count();
        return at < expected.Answer.Tokens.Count ? expected.Answer.Tokens[at].TopGap : double.PositiveInfinity;
    }

    private static string Describe(ReferenceAnswer expected, Generation actual) =>
        $"prompt of {actual.PromptTokens} tokens: {string.Join(' ', expected.Answer.TokenIds)} | {string.Join(' ', actual.TokenIds)}"
        + $" | gap of the two best at the divergence {GapAtDivergence(expected, actual):0.0000}";
}
