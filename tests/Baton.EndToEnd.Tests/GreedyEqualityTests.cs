using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;
using Baton.Testing.Processes;

namespace Baton.EndToEnd.Tests;

/// <summary>What comes out of a prefill process and a decode process is, token for token, what one process that does both gives.</summary>
/// <remarks>The prompts go one at a time: alone in its batch, a sequence is computed by the same kernels on both sides.</remarks>
public sealed class GreedyEqualityTests(SharedClusters clusters)
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 1)]
    [InlineData(4, 2)]
    [InlineData(4, 4)]
    public async Task Every_count_of_ranks_gives_the_unified_tokens_streamed_and_not(int prefillRanks, int decodeRanks)
    {
        await using UpProcess up = await UpProcess.StartReadyAsync(
            ["--prefill-dp", $"{prefillRanks}", "--decode-dp", $"{decodeRanks}", .. SharedClusters.WorkerFlags]);
        using GenerateClient client = new(up.Url);

        await AssertSameAsync(await clusters.ReferenceAsync(), client.GenerateAsync, prefillRanks, decodeRanks);
        await AssertSameAsync(await clusters.ReferenceAsync(), client.GenerateStreamedAsync, prefillRanks, decodeRanks);
    }

    [Fact]
    public async Task Two_ranks_on_each_side_give_the_unified_tokens()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();

        await AssertSameAsync(await clusters.ReferenceAsync(), client.GenerateAsync, prefillRanks: 2, decodeRanks: 2);
    }

    [Fact]
    public async Task A_stream_carries_the_unified_tokens()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();

        await AssertSameAsync(await clusters.ReferenceAsync(), client.GenerateStreamedAsync, prefillRanks: 2, decodeRanks: 2);
    }

    [Fact]
    public async Task A_seed_draws_the_same_tokens_on_both_sides()
    {
        using GenerateClient unified = await clusters.UnifiedClientAsync();
        using GenerateClient disaggregated = await clusters.DisaggregatedClientAsync();
        GenerateRequest[] requests =
        [
            .. (await clusters.ReferenceAsync()).Where((_, i) => i % 3 == 0)
                .Select((answer, i) => answer.Request with { Temperature = 0.9, TopP = 0.95, Seed = 1000 + i, WithLogprobs = false }),
        ];

        List<string> differences = [];
        foreach (GenerateRequest request in requests)
        {
            Generation expected = await unified.GenerateAsync(request);
            Generation actual = await disaggregated.GenerateAsync(request);
            if (!expected.TokenIds.SequenceEqual(actual.TokenIds)) differences.Add(Describe(request, expected, actual));
        }

        Assert.True(differences.Count == 0, $"{differences.Count} of {requests.Length} seeded answers differ:\n{string.Join('\n', differences)}");
    }

    [Fact]
    public async Task Another_seed_draws_other_tokens()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        GenerateRequest request = (await clusters.ReferenceAsync())[40].Request with { Temperature = 1, WithLogprobs = false };

        Generation[] answers = [await client.GenerateAsync(request with { Seed = 1 }), await client.GenerateAsync(request with { Seed = 2 })];

        Assert.NotEqual(answers[0].TokenIds, answers[1].TokenIds);
    }

    private static async Task AssertSameAsync(
        ReferenceAnswer[] reference, Func<GenerateRequest, CancellationToken, Task<Generation>> ask, int prefillRanks, int decodeRanks)
    {
        List<string> differences = [];
        HashSet<int> decodedOn = [];
        HashSet<int> prefilledOn = [];
        foreach (ReferenceAnswer expected in reference)
        {
            Generation actual = await ask(expected.Request, TestContext.Current.CancellationToken);
            decodedOn.Add(actual.DpRank);
            prefilledOn.Add(actual.PrefillDpRank);
            if (!IsSame(expected.Answer, actual)) differences.Add(Describe(expected.Request, expected.Answer, actual));
        }

        Assert.True(differences.Count == 0, $"{differences.Count} of {reference.Length} answers differ:\n{string.Join('\n', differences)}");
        // Every rank of both sides had its turn, or the comparison would say less than it seems to.
        Assert.Equal(Enumerable.Range(0, decodeRanks), decodedOn.Order());
        Assert.Equal(Enumerable.Range(0, prefillRanks), prefilledOn.Order());
    }

    /// <summary>Same tokens and text, and log probabilities within 1e-3.</summary>
    private static bool IsSame(Generation expected, Generation actual) =>
        expected.TokenIds.SequenceEqual(actual.TokenIds)
        && expected.Text == actual.Text
        && expected.PromptTokens == actual.PromptTokens
        && expected.FinishType == actual.FinishType
        && expected.Tokens.Count == actual.Tokens.Count
        && expected.Tokens.Zip(actual.Tokens).All(pair => Math.Abs(pair.First.Logprob - pair.Second.Logprob) <= 1e-3);

    private static string Describe(GenerateRequest request, Generation expected, Generation actual) =>
        $"""
        prompt of {request.InputIds.Count} tokens, seed {request.Seed?.ToString() ?? "none"}, decode rank {actual.DpRank}
          unified       {string.Join(' ', expected.TokenIds)}  ({expected.FinishType})  {string.Join(' ', expected.Tokens.Select(token => $"{token.Logprob:0.0000}"))}
          disaggregated {string.Join(' ', actual.TokenIds)}  ({actual.FinishType})  {string.Join(' ', actual.Tokens.Select(token => $"{token.Logprob:0.0000}"))}
        """;
}
