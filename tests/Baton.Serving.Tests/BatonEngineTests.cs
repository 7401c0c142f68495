using Baton.Core.Engine.Simulated;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Serving.Library;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;
using Baton.Testing;

namespace Baton.Serving.Tests;

public sealed class BatonEngineTests
{
    private static ServeOptions Demo => TestWorker.Simulated with
    {
        Engine = EngineKind.Llama,
        ModelPath = Path.Combine(RepositoryRoot.Path, "models", "demo", "baton-demo.gguf"),
        ContextLength = 2048,
        MaxRunningRequests = 4,
        MaxTotalTokens = 2048,
    };

    private static async Task<(string Text, List<OutputToken> Tokens, GenerationEnd End)> CollectAsync(BatonEngine engine, EngineRequest request)
    {
        string text = "";
        List<OutputToken> tokens = [];
        GenerationEnd? end = null;
        await foreach (GenerationUpdate update in engine.GenerateAsync(request))
        {
            Assert.Null(end);
            text += update.Text;
            tokens.AddRange(update.Tokens);
            end = update.End;
        }
        return (text, tokens, end!);
    }

    [Fact]
    public async Task The_demo_model_answers_unified_and_as_a_pair_with_the_same_tokens()
    {
        await using BatonEngine unified = await BatonEngine.LoadAsync(Demo, TimeProvider.System);
        await using BatonEngine prefill = await BatonEngine.LoadAsync(Demo with { Role = WorkerRole.Prefill }, TimeProvider.System);
        await using BatonEngine decode = await BatonEngine.LoadAsync(Demo with { Role = WorkerRole.Decode }, TimeProvider.System);
        EngineRequest request = new() { InputIds = unified.RenderChat([new("user", "What is a KV cache?")]), Temperature = 0, MaxNewTokens = 60, Stop = ["computed"] };
        EngineRequest leg = request with { Bootstrap = prefill.Bootstrap, Room = 1UL << 60 };

        (string expected, List<OutputToken> expectedTokens, GenerationEnd expectedEnd) = await CollectAsync(unified, request);
        Task<(string, List<OutputToken>, GenerationEnd End)> first = CollectAsync(prefill, leg);
        (string text, List<OutputToken> tokens, GenerationEnd end) = await CollectAsync(decode, leg);

        Assert.Equal("The KV cache holds the keys and values of past tokens, so they are not ", expected);
        Assert.Equal(expected, text);
        Assert.Equal(expectedTokens.Select(token => token.TokenId), tokens.Select(token => token.TokenId));
        Assert.Equal(FinishKind.Stop, expectedEnd.Kind);
        Assert.Equal(FinishKind.Stop, end.Kind);
        Assert.Equal(RankSource.Single, end.RankSource);
        Assert.True(end.HandoverBytes > 0);
        Assert.Equal(FinishKind.Length, (await first).End.Kind);
    }

    [Fact]
    public async Task Bad_values_are_refused_as_over_HTTP()
    {
        await using BatonEngine engine = await BatonEngine.LoadAsync(TestWorker.Simulated, TimeProvider.System);

        BadRequestException bad = await Assert.ThrowsAsync<BadRequestException>(() => CollectAsync(engine, new EngineRequest { Text = "a", TopP = 2 }));
        CallFailedException failed = await Assert.ThrowsAsync<CallFailedException>(() => CollectAsync(engine, new EngineRequest { Text = new string('x', 5000) }));

        Assert.Equal("sampling_params.top_p", bad.Field);
        Assert.Equal(FailureReason.PromptTooLong, failed.Failure.Reason);
    }

    [Fact]
    public async Task A_batch_takes_its_ranks_and_rooms_as_lists_and_reports_them_with_each_answer()
    {
        await using BatonEngine prefill = await BatonEngine.LoadAsync(TestWorker.Simulated with { Role = WorkerRole.Prefill, DpSize = 2 }, TimeProvider.System);
        await using BatonEngine decode = await BatonEngine.LoadAsync(TestWorker.Simulated with { Role = WorkerRole.Decode, DpSize = 2 }, TimeProvider.System);
        int[] prefillRanks = [1, 0, 1], decodeRanks = [0, 1, 1];
        EngineRequest[] asked = [.. Enumerable.Range(0, 3).Select(i => new EngineRequest
        {
            Text = $"request {i}",
            MaxNewTokens = 3 + i,
            Bootstrap = prefill.Bootstrap,
            Room = (1UL << 60) + (ulong)i,
        })];

        Task<Dictionary<int, GenerationEnd>> first = EndsAsync(prefill, [.. asked.Select((one, i) => one with { RoutedDpRank = prefillRanks[i] })]);
        // The third one asks prefill's bootstrap server; the old name of the field still counts.
        Dictionary<int, GenerationEnd> ends = await EndsAsync(decode,
            [.. asked.Select((one, i) => one with { DataParallelRank = decodeRanks[i], PrefillDpRank = i < 2 ? prefillRanks[i] : null })]);

        Assert.Equal([(0, 1, RankSource.Hint, 3), (1, 0, RankSource.Hint, 4), (1, 1, RankSource.Query, 5)],
            ends.OrderBy(end => end.Key).Select(end => (end.Value.DpRank.Value, end.Value.PrefillDpRank!.Value.Value, end.Value.RankSource, end.Value.CompletionTokens)));
        Assert.Equal(prefillRanks, (await first).OrderBy(end => end.Key).Select(end => end.Value.DpRank.Value));
    }

    [Fact]
    public async Task A_batch_with_a_bad_rank_or_one_room_twice_is_refused_by_name_and_starts_nothing()
    {
        await using BatonEngine engine = await BatonEngine.LoadAsync(TestWorker.Simulated with { Role = WorkerRole.Decode, DpSize = 2 }, TimeProvider.System);
        EngineRequest good = new() { Text = "a", Bootstrap = new BootstrapAddress("127.0.0.1", 1), Room = 7 };

        BadRequestException rank = await Assert.ThrowsAsync<BadRequestException>(() => EndsAsync(engine, [good, good with { Room = 8, RoutedDpRank = 2 }]));
        BadRequestException room = await Assert.ThrowsAsync<BadRequestException>(() => EndsAsync(engine, [good, good]));

        Assert.Equal(("routed_dp_rank", "routed_dp_rank=2 out of range [0, 2)"), (rank.Field, rank.Message));
        Assert.Equal("bootstrap_room", room.Field);
        Assert.Equal(0, engine.LiveRequests);
    }

    [Fact]
    public async Task The_old_name_of_the_rank_counts_less_and_the_log_says_so()
    {
        using LogLines log = new();
        await using BatonEngine engine = await BatonEngine.LoadAsync(TestWorker.Simulated with { DpSize = 2 }, TimeProvider.System, log);

        (_, _, GenerationEnd old) = await CollectAsync(engine, new EngineRequest { Text = "a", MaxNewTokens = 1, DataParallelRank = 1 });
        (_, _, GenerationEnd both) = await CollectAsync(engine, new EngineRequest { Text = "a", MaxNewTokens = 1, DataParallelRank = 1, RoutedDpRank = 0 });

        Assert.Equal((1, 0), (old.DpRank.Value, both.DpRank.Value));
        Assert.Equal(
            ["data_parallel_rank is deprecated; use routed_dp_rank", "data_parallel_rank is deprecated; use routed_dp_rank; both were given and differ, and routed_dp_rank counts"],
            log.Of(Microsoft.Extensions.Logging.LogLevel.Warning));
    }

    [Fact]
    public async Task When_a_batch_is_refused_on_prefill_decode_hears_of_all_its_rooms()
    {
        await using BatonEngine prefill = await BatonEngine.LoadAsync(TestWorker.Simulated with { Role = WorkerRole.Prefill, DpSize = 2 }, TimeProvider.System);
        await using BatonEngine decode = await BatonEngine.LoadAsync(TestWorker.Simulated with { Role = WorkerRole.Decode }, TimeProvider.System);
        EngineRequest good = new() { Text = "a", Bootstrap = prefill.Bootstrap, Room = (1UL << 60) + 1 };

        await Assert.ThrowsAsync<BadRequestException>(() => EndsAsync(prefill, [good, good with { Room = (1UL << 60) + 2, TopP = 2 }]));
        Task<CallFailedException>[] told = [.. new[] { 1UL, 2UL }.Select(i =>
            Assert.ThrowsAsync<CallFailedException>(() => EndsAsync(decode, [good with { Room = (1UL << 60) + i }])))];

        // Every deadline of a room is longer than a test may last.
        foreach (CallFailedException failed in await Task.WhenAll(told).WaitAsync(TestWorker.Patience))
            Assert.Contains("sampling_params.top_p", failed.Failure.Message, StringComparison.Ordinal);
    }

    private static async Task<Dictionary<int, GenerationEnd>> EndsAsync(BatonEngine engine, IReadOnlyList<EngineRequest> requests)
    {
        Dictionary<int, GenerationEnd> ends = [];
        await foreach (BatchUpdate update in engine.GenerateAsync(requests))
        {
            if (update.Update.End is { } end) ends.Add(update.Index, end);
        }
        return ends;
    }

    [Fact]
    public async Task Leaving_the_enumeration_ends_the_request()
    {
        await using BatonEngine engine = await BatonEngine.LoadAsync(
            TestWorker.Simulated with { MaxRunningRequests = 1, Simulated = new SimulatedOptions { Cost = new CostModel { FixedMs = 20 } } }, TimeProvider.System);
        // 80 s each, one after the other: only when all five ended early does the sixth get its turn.
        EngineRequest endless = new() { Text = "a", MaxNewTokens = 4000, IgnoreEos = true };

        for (int i = 0; i < 5; i++)
        {
            await foreach (GenerationUpdate _ in engine.GenerateAsync(endless with { RequestId = $"r{i}" })) break;
        }

        (string _, List<OutputToken> tokens, GenerationEnd _) = await CollectAsync(engine, new EngineRequest { Text = "b", MaxNewTokens = 3 }).WaitAsync(TestWorker.Patience);

        Assert.Equal(3, tokens.Count);
    }
}
