using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Rooms;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

public sealed class PolicyTests
{
    private static readonly RequestFacts Facts = new() { Endpoint = DataEndpoint.Generate };

    private static List<Candidate> Candidates(int count, WorkerRole role = WorkerRole.Prefill) =>
        [.. Enumerable.Range(0, count).Select(i => new Candidate(new Worker($"w{i}", new WorkerSpec { Url = new Uri($"http://h{i}:1"), Role = role }), null))];

    private static PolicyRequest Request(string prompt = "", string? key = null, WorkerRole role = WorkerRole.Prefill, int chars = 0, double seconds = 0) =>
        new(role, Facts with { PromptChars = chars, PromptTokens = 1 }, key, Encoding.UTF8.GetBytes(prompt), TimeSpan.FromSeconds(seconds));

    private static RankReport Report(double usage, long waiting = 0) => new(TimeSpan.Zero, 0, 0, 0, 100, usage, waiting, 0, 0);

    [Fact]
    public void Least_load_on_prefill_counts_prompt_tokens_and_not_requests()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Take(1, 5000, TimeSpan.Zero);
        for (int i = 0; i < 5; i++) candidates[1].State.Take(1, 10, TimeSpan.Zero);

        Assert.Equal(1, new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index);
    }

    [Fact]
    public void Least_load_on_decode_counts_sequences_and_a_full_cache()
    {
        List<Candidate> candidates = Candidates(2, WorkerRole.Decode);
        LeastLoadPolicy policy = new(new PolicyOptions());
        candidates[0].State.Take(3, 10, TimeSpan.Zero);
        candidates[1].State.Take(2, 9999, TimeSpan.Zero);
        int bySequences = policy.Pick(candidates, Request(role: WorkerRole.Decode)).Index;

        candidates[1].State.Report = Report(0.9);

        Assert.Equal((1, 0), (bySequences, policy.Pick(candidates, Request(role: WorkerRole.Decode)).Index));
    }

    [Fact]
    public void Least_load_sees_what_other_routers_sent_by_the_report()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Report = Report(0, waiting: 100_000);
        candidates[1].State.Take(1, 500, TimeSpan.Zero);

        Assert.Equal(1, new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index);
    }

    [Fact]
    public void Least_load_does_not_take_its_own_requests_in_an_old_report_for_work_of_others()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Take(2, 7000, TimeSpan.Zero);
        candidates[0].State.Report = Report(0, waiting: 7000) with { OwnPromptTokens = 7000 };
        candidates[0].State.EndPrompts(7000, TimeSpan.FromSeconds(1), areComputed: true);
        candidates[1].State.Take(1, 500, TimeSpan.FromSeconds(1));

        Assert.Equal(0, new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index);
    }

    [Fact]
    public void Of_equal_prefill_ranks_least_load_takes_the_one_whose_first_request_is_at_it_the_longest()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Take(1, 3500, TimeSpan.FromMilliseconds(0));
        candidates[0].State.Take(1, 3500, TimeSpan.FromMilliseconds(10));
        candidates[1].State.Take(1, 3500, TimeSpan.FromMilliseconds(20));
        candidates[0].State.EndPrompts(3500, TimeSpan.FromMilliseconds(30), areComputed: true); // its second one begins
        candidates[1].State.Take(1, 0, TimeSpan.FromMilliseconds(40));      // more sent, and still sooner free

        Assert.Equal(1, new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index);
    }

    [Fact]
    public void Least_load_takes_a_long_prompt_that_is_nearly_computed_for_less_than_a_short_one_that_has_just_begun()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Take(1, 1000, TimeSpan.Zero);
        candidates[0].State.EndPrompts(1000, TimeSpan.FromSeconds(1), areComputed: true); // 1,000 tokens a second
        candidates[0].State.Take(1, 8000, TimeSpan.FromSeconds(1));
        candidates[1].State.Take(1, 1000, TimeSpan.FromSeconds(1));
        LeastLoadPolicy policy = new(new PolicyOptions());
        int atOnce = policy.Pick(candidates, Request(seconds: 1)).Index;

        candidates[1].State.EndPrompts(1000, TimeSpan.FromSeconds(2), areComputed: true);
        candidates[1].State.Take(1, 1000, TimeSpan.FromSeconds(8.5));

        Assert.Equal((1, 0), (atOnce, policy.Pick(candidates, Request(seconds: 8.6)).Index));
    }

    [Fact]
    public void A_cache_that_is_less_than_half_full_does_not_decide_between_equals()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[1].State.Take(1, 0, TimeSpan.Zero);
        candidates[1].State.Return(1);
        candidates[0].State.Report = Report(0.49);
        int below = new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index;

        candidates[0].State.Report = Report(0.5);

        Assert.Equal((0, 1), (below, new LeastLoadPolicy(new PolicyOptions()).Pick(candidates, Request()).Index));
    }

    [Fact]
    public void An_idle_fleet_is_used_in_turn()
    {
        List<Candidate> candidates = Candidates(3);
        LeastLoadPolicy policy = new(new PolicyOptions());
        List<int> picks = [];

        for (int i = 0; i < 6; i++)
        {
            int pick = policy.Pick(candidates, Request()).Index;
            picks.Add(pick);
            candidates[pick].State.Take(1, 10, TimeSpan.Zero);
            candidates[pick].State.EndPrompts(10, TimeSpan.Zero, areComputed: true);
            candidates[pick].State.Return(1);
        }

        Assert.Equal([0, 1, 2, 0, 1, 2], picks);
    }

    [Fact]
    public void Power_of_two_draws_two_distinct_ones_and_takes_the_less_loaded()
    {
        List<Candidate> candidates = Candidates(2);
        candidates[0].State.Take(5, 0, TimeSpan.Zero);
        PowerOfTwoPolicy policy = new(new RouterRandom(1));

        Assert.All(Enumerable.Range(0, 100), _ => Assert.Equal(1, policy.Pick(candidates, Request()).Index));
    }

    [Fact]
    public void C30_a_match_must_be_more_than_the_threshold()
    {
        CacheAwarePolicy policy = new(new PolicyOptions { CacheThreshold = 0.5 });
        List<Candidate> candidates = Candidates(2);
        PolicyPick first = policy.Pick(candidates, Request("0123456789\""));
        candidates[first.Index].State.Take(3, 0, TimeSpan.Zero);

        PolicyPick half = policy.Pick(candidates, Request("01234abcde\"") with { IsDryRun = true });
        PolicyPick more = policy.Pick(candidates, Request("012345abcd\"") with { IsDryRun = true });

        Assert.Equal(("cache_miss", 1 - first.Index), (half.Branch, half.Index));
        Assert.Equal(("cache_hit", first.Index), (more.Branch, more.Index));
    }

    [Theory]
    [InlineData(64, 0, "cache_hit")]
    [InlineData(65, 0, "imbalanced")]
    [InlineData(300, 200, "cache_hit")]
    [InlineData(301, 200, "imbalanced")]
    public void C30_imbalance_needs_the_difference_and_the_ratio(int hot, int cold, string branch)
    {
        CacheAwarePolicy policy = new(new PolicyOptions());
        List<Candidate> candidates = Candidates(2);
        int owner = policy.Pick(candidates, Request("the whole conversation\"")).Index;
        candidates[owner].State.Take(hot, 0, TimeSpan.Zero);
        candidates[1 - owner].State.Take(cold, 0, TimeSpan.Zero);

        PolicyPick pick = policy.Pick(candidates, Request("the whole conversation\""));

        Assert.Equal(branch, pick.Branch);
        Assert.Equal(branch == "cache_hit" ? owner : 1 - owner, pick.Index);
    }

    [Fact]
    public void A_conversation_goes_back_to_where_its_last_turn_was_even_if_another_shares_the_system_prompt()
    {
        CacheAwarePolicy policy = new(new PolicyOptions());
        List<Candidate> candidates = Candidates(2);
        string system = "[{\"role\":\"system\",\"content\":\"short\"}";
        string one = system + ",{\"role\":\"user\",\"content\":\"" + new string('a', 200) + "\"}", two = system + ",{\"role\":\"user\",\"content\":\"" + new string('b', 200) + "\"}";
        int first = policy.Pick(candidates, Request(one + "]")).Index;
        candidates[first].State.Take(1, 0, TimeSpan.Zero);
        int second = policy.Pick(candidates, Request(two + "]")).Index;
        candidates[second].State.Take(5, 0, TimeSpan.Zero);

        int again = policy.Pick(candidates, Request(two + ",{\"role\":\"user\",\"content\":\"next\"}]")).Index;

        Assert.NotEqual(first, second);
        Assert.Equal(second, again);
    }

    [Theory]
    [InlineData(32, 16, "cache_hit")]
    [InlineData(32, 15, "cache_miss")]
    [InlineData(7, 7, "cache_hit")]
    public void Token_ids_are_compared_by_whole_blocks_however_they_are_written(int known, int shared, string branch)
    {
        CacheAwarePolicy policy = new(new PolicyOptions());
        List<Candidate> candidates = Candidates(2);
        int owner = policy.Pick(candidates, Request($"[{string.Join(',', Enumerable.Range(1000, known))}]")).Index;
        candidates[owner].State.Take(1, 0, TimeSpan.Zero);

        PolicyPick pick = policy.Pick(candidates, Request($"[ {string.Join(" ,", Enumerable.Range(1000, shared).Concat(Enumerable.Range(5, known - shared)))}]"));

        Assert.Equal((branch, branch == "cache_hit" ? owner : 1 - owner), (pick.Branch, pick.Index));
    }

    [Fact]
    public void Conversations_with_other_tools_begin_differently()
    {
        CacheAwarePolicy policy = new(new PolicyOptions());
        List<Candidate> candidates = Candidates(2);
        PolicyRequest Ask(string tool) => Request("[{\"role\":\"user\",\"content\":\"hello\"}]") with { Tools = Encoding.UTF8.GetBytes($"[{{\"name\":\"{tool}\"}}]") };
        policy.Pick(candidates, Ask("weather"));

        Assert.Equal("cache_hit", policy.Pick(candidates, Ask("weather") with { IsDryRun = true }).Branch);
        Assert.Equal("cache_miss", policy.Pick(candidates, Ask("search") with { IsDryRun = true }).Branch);
    }

    [Fact]
    public void A_replaced_worker_is_forgotten()
    {
        CacheAwarePolicy policy = new(new PolicyOptions());
        List<Candidate> candidates = Candidates(2);
        int owner = policy.Pick(candidates, Request("some long prompt\"")).Index;

        policy.Forget(candidates[owner].Worker);

        Assert.Equal("cache_miss", policy.Pick(candidates, Request("some long prompt\"")).Branch);
    }

    [Fact]
    public void The_tree_keeps_the_longest_prefix_of_each_candidate_and_stays_within_its_size()
    {
        PrefixTree tree = new();
        List<Candidate> candidates = Candidates(2);
        Random random = new(4);
        Dictionary<Candidate, List<string>> seen = candidates.ToDictionary(c => c, _ => new List<string>());
        for (int i = 0; i < 500; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 12)).Select(_ => "ab"[random.Next(2)]));
            Candidate who = candidates[random.Next(2)];
            tree.Insert(Encoding.UTF8.GetBytes(text), who);
            seen[who].Add(text);
            string asked = string.Concat(Enumerable.Range(0, 14).Select(_ => "ab"[random.Next(2)]));

            (int matched, Candidate? owner) = tree.Match(Encoding.UTF8.GetBytes(asked), candidates);

            int best = seen.Values.SelectMany(t => t).Max(t => t.Zip(asked).TakeWhile(p => p.First == p.Second).Count());
            Assert.Equal(best, matched);
            if (best > 0) Assert.Contains(seen[owner!.Value], t => t.StartsWith(asked[..best], StringComparison.Ordinal));
        }

        tree.Evict(20);

        Assert.All(candidates, c => Assert.InRange(tree.SizeOf(c), 0, 20));
    }

    [Fact]
    public void A_key_stays_where_it_is_and_only_the_keys_of_a_lost_candidate_move()
    {
        ConsistentHashPolicy policy = new(new PolicyOptions(), isBounded: false);
        List<Candidate> candidates = Candidates(5);
        string[] keys = [.. Enumerable.Range(0, 1000).Select(i => $"session-{i}")];
        Candidate[] before = [.. keys.Select(k => candidates[policy.Pick(candidates, Request(key: k)).Index])];
        List<Candidate> left = [.. candidates.Where((_, i) => i != 2)];

        Candidate[] after = [.. keys.Select(k => left[policy.Pick(left, Request(key: k)).Index])];

        Assert.All(before.Zip(after), p => Assert.True(p.First == candidates[2] || p.First == p.Second));
        Assert.All(candidates, c => Assert.InRange(before.Count(b => b == c), 100, 320));
    }

    [Fact]
    public void A_bounded_ring_walks_past_a_candidate_far_above_the_mean()
    {
        List<Candidate> candidates = Candidates(4);
        int owner = new ConsistentHashPolicy(new PolicyOptions(), isBounded: false).Pick(candidates, Request(key: "k")).Index;
        candidates[owner].State.Take(10, 0, TimeSpan.Zero);

        PolicyPick pick = new ConsistentHashPolicy(new PolicyOptions(), isBounded: true).Pick(candidates, Request(key: "k"));

        Assert.NotEqual(owner, pick.Index);
        Assert.Equal("ring_next", pick.Branch);
    }

    [Fact]
    public void Buckets_follow_prompt_length_and_answer_only_candidates_at_hand()
    {
        BucketPolicy policy = new(new PolicyOptions { BalanceAbsThreshold = int.MaxValue });
        List<Candidate> three = Candidates(3);

        int[] picks = [.. new[] { 10, 1400, 4000, 9_000_000 }.Select(chars => policy.Pick(three, Request(chars: chars)).Index)];
        PolicyPick fewer = policy.Pick([three[2]], Request(chars: 10));

        Assert.Equal([0, 1, 2, 2], picks);
        Assert.Equal(0, fewer.Index);
    }

    [Fact]
    public void Every_policy_has_its_name_and_an_unknown_name_is_refused()
    {
        foreach (string name in RoutingPolicies.Names)
            Assert.Equal(name == "consistent_hashing" ? "consistent_hash" : name, RoutingPolicies.Create(name, new PolicyOptions(), new RouterRandom(1)).Name);

        Assert.Contains("least_load", Assert.Throws<ArgumentException>(() => RoutingPolicies.Create("fastest", new PolicyOptions(), new RouterRandom(1))).Message, StringComparison.Ordinal);
    }
}
