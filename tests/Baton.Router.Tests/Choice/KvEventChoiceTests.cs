using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.KvEvents;
using Baton.Router.Workers;
using Baton.Testing;

namespace Baton.Router.Tests.Choice;

/// <summary>cache_aware among workers that tell what they hold, with prompts of token ids.</summary>
public sealed class KvEventChoiceTests
{
    private const string Ten = "[1,2,3,4,5,6,7,8,9,10]";

    private static List<Candidate> Candidates(int count) =>
        [.. Enumerable.Range(0, count).Select(i => new Candidate(new Worker($"w{i}", new WorkerSpec { Url = new Uri($"http://h{i}:1"), Role = WorkerRole.Prefill }), null))];

    private static PolicyRequest Request(string prompt, int batch = 1) =>
        new(WorkerRole.Prefill, new RequestFacts { Endpoint = DataEndpoint.Generate, PromptTokens = 10, BatchSize = batch }, null, Encoding.UTF8.GetBytes(prompt), TimeSpan.Zero);

    /// <summary>A rank listened to since its first batch, which holds the prompt 1, 2, 3, ... up to so many tokens.</summary>
    private static void Tell(RankState rank, int tokens, ulong firstBatch = 0)
    {
        rank.Blocks.Begin();
        rank.Blocks.BeginBatch(firstBatch);
        for (int i = 1; i <= tokens; i++) rank.Blocks.Store([i], i == 1 ? null : i - 1, [(uint)i], 1);
    }

    private static (int, string, string?, int?) Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request, CacheAwarePolicy? policy = null)
    {
        PolicyPick pick = (policy ?? new CacheAwarePolicy(new PolicyOptions { BalanceAbsThreshold = 1000 })).Pick(candidates, request);
        return (pick.Index, pick.Branch, pick.MatchedBy, pick.MatchedTokens);
    }

    [Theory]
    [InlineData(3, 0, "cache_miss")]
    [InlineData(4, 1, "cache_hit")]
    public void A_prompt_goes_to_who_holds_more_than_the_threshold_of_it(int held, int expected, string branch)
    {
        List<Candidate> candidates = Candidates(2);
        Tell(candidates[0].State, 0);
        Tell(candidates[1].State, held);
        candidates[1].State.Take(1, 0, TimeSpan.Zero);

        Assert.Equal((expected, branch, "kv_events", held), Pick(candidates, Request(Ten)));
    }

    [Fact]
    public void The_longest_match_wins_and_among_equals_the_least_loaded()
    {
        List<Candidate> candidates = Candidates(4);
        Tell(candidates[0].State, 5);
        for (int i = 1; i < 4; i++) Tell(candidates[i].State, 8);
        candidates[1].State.Take(3, 0, TimeSpan.Zero);
        candidates[2].State.Take(1, 0, TimeSpan.Zero);
        candidates[3].State.Take(2, 0, TimeSpan.Zero);

        Assert.Equal((2, "cache_hit", "kv_events", 8), Pick(candidates, Request(Ten)));
    }

    [Fact]
    public void What_was_sent_to_a_rank_does_not_count_once_it_told_all_and_counts_again_when_nobody_listens()
    {
        CacheAwarePolicy policy = new(new PolicyOptions { BlockSize = 1 });
        List<Candidate> candidates = Candidates(2);
        Pick(candidates, Request(Ten), policy);
        candidates[0].State.Take(1, 0, TimeSpan.Zero);
        foreach (Candidate candidate in candidates) Tell(candidate.State, 0);

        (int, string, string?, int?) told = Pick(candidates, Request(Ten) with { IsDryRun = true }, policy);
        foreach (Candidate candidate in candidates) candidate.State.Blocks.End();
        (int, string, string?, int?) guessed = Pick(candidates, Request(Ten) with { IsDryRun = true }, policy);

        Assert.Equal((1, "cache_miss", "kv_events", 0), told);
        Assert.Equal((0, "cache_hit", "sent_before", 10), guessed);
    }

    [Fact]
    public void Of_a_rank_that_is_listened_to_too_late_both_count_and_the_longer_one_decides()
    {
        CacheAwarePolicy policy = new(new PolicyOptions { BlockSize = 1 });
        List<Candidate> candidates = Candidates(2);
        Pick(candidates, Request("[1,2,3,4,5,6,70]"), policy);
        candidates[0].State.Take(1, 0, TimeSpan.Zero);
        Tell(candidates[0].State, 0, firstBatch: 7);
        Tell(candidates[1].State, 5);
        (int, string, string?, int?) sent = Pick(candidates, Request(Ten) with { IsDryRun = true }, policy);

        candidates[1].State.Blocks.Store([6, 7], 5, [6, 7], 1);
        (int, string, string?, int?) held = Pick(candidates, Request(Ten) with { IsDryRun = true }, policy);

        Assert.Equal((0, "cache_hit", "sent_before", 6), sent);
        Assert.Equal((1, "cache_hit", "kv_events", 7), held);
    }

    [Theory]
    [InlineData("1,2,3,4,5,6,7,8,9,10\"", 1)]
    [InlineData("[[1,2,3,4,5],[6,7,8,9,10]]", 2)]
    public void Text_and_batches_go_where_they_were_sent_before(string prompt, int batch)
    {
        CacheAwarePolicy policy = new(new PolicyOptions { BlockSize = 1 });
        List<Candidate> candidates = Candidates(2);
        Pick(candidates, Request(prompt, batch), policy);
        candidates[0].State.Take(1, 0, TimeSpan.Zero);
        Tell(candidates[0].State, 0);
        Tell(candidates[1].State, 10);

        (int index, string branch, string? by, _) = Pick(candidates, Request(prompt, batch), policy);

        Assert.Equal((0, "cache_hit", "sent_before"), (index, branch, by));
    }

    [Fact]
    public void A_list_of_one_prompt_is_looked_up_as_that_prompt()
    {
        List<Candidate> candidates = Candidates(2);
        Tell(candidates[1].State, 10);

        Assert.Equal((1, "cache_hit", "kv_events", 10), Pick(candidates, Request("[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]")));
    }

    [Fact]
    public void A_worker_that_chooses_its_rank_itself_counts_by_its_best_one()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[1].Worker.Learn(new WorkerInfo { DpSize = 3 });
        Tell(candidates[0].State, 5);
        Tell(candidates[1].Worker.Rank(2), 6);

        Assert.Equal((1, "cache_hit", "kv_events", 6), Pick(candidates, Request(Ten)));
    }

    [Fact]
    public void A_replaced_process_holds_nothing_that_is_known()
    {
        List<Candidate> candidates = Candidates(2);
        Tell(candidates[1].State, 10);

        candidates[1].Worker.Forget();

        Assert.Equal((0, "cache_miss", "kv_events", 0), Pick(candidates, Request(Ten)));
        Assert.Equal(1, candidates[1].State.Blocks.ForgottenBy(KvForgotten.Restarted));
    }

    [Fact]
    public void Out_of_balance_nobody_is_asked_what_it_holds()
    {
        List<Candidate> candidates = Candidates(2);
        Tell(candidates[1].State, 10);
        candidates[1].State.Take(100, 0, TimeSpan.Zero);

        Assert.Equal((0, "imbalanced", null, null), Pick(candidates, Request(Ten), new CacheAwarePolicy(new PolicyOptions())));
    }

    [Fact]
    public void Requests_that_cannot_be_looked_up_cost_no_memory()
    {
        List<Candidate> told = Candidates(2), silent = Candidates(2);
        Tell(told[0].State, 10);
        PolicyRequest text = Request("\"some text\""), ids = Request(Ten);

        long allocated = Allocations.PerWindow(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                HeldPrefix.Find(text, told);
                HeldPrefix.Find(ids, silent);
            }
        });

        Assert.Equal(0, allocated);
    }
}
