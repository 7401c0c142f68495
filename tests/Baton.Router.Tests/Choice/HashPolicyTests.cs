using System.Runtime.CompilerServices;
using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Rooms;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

/// <summary>prefix_hash, manual and passthrough.</summary>
public sealed class HashPolicyTests
{
    private static List<Candidate> Candidates(int count) =>
        [.. Enumerable.Range(0, count).Select(i => new Candidate(new Worker($"w{i}", new WorkerSpec { Url = new Uri($"http://h{i}:1"), Role = WorkerRole.Prefill }), null))];

    private static PolicyRequest Request(string prompt = "", string? key = null, double seconds = 0, string? user = null) =>
        new(WorkerRole.Prefill, new RequestFacts { Endpoint = DataEndpoint.Generate, User = user }, key, Encoding.UTF8.GetBytes(prompt), TimeSpan.FromSeconds(seconds));

    private static string Ids(int from, int count) => $"[{string.Join(", ", Enumerable.Range(from, count))}]";

    // Of the reference implementation, over bytes (131 i + 7) mod 256; every length class has its own code.
    [Theory]
    [InlineData(0, 0x2d06800538d394c2)]
    [InlineData(1, 0x4c5cca45d0f4811f)]
    [InlineData(3, 0x6e3e2670e61106ac)]
    [InlineData(4, 0x5c4c63133443d03f)]
    [InlineData(8, 0xf9fd4dd0b04d78f5)]
    [InlineData(9, 0x7c20df9712c26edf)]
    [InlineData(16, 0x86abf6baccea0858)]
    [InlineData(17, 0xb58bf5dc5022d071)]
    [InlineData(128, 0x10d17f72c0ccba41)]
    [InlineData(129, 0x1648bdc3db49d1a2)]
    [InlineData(240, 0xb6cfaf343fab81e6)]
    [InlineData(241, 0x956cae592c67279e)]
    [InlineData(1024, 0x70bd377d9574f4bb)]
    [InlineData(1025, 0x66c4487c41e127a7)]
    [InlineData(5000, 0xe4007929540f095c)]
    public void The_hash_is_xxh3(int length, ulong expected) =>
        Assert.Equal(expected, Xxh3.Hash([.. Enumerable.Range(0, length).Select(i => unchecked((byte)(i * 131 + 7)))]));

    [Fact]
    public void A_prefix_key_is_the_hash_of_256_ids_as_32_bits_little_endian()
    {
        PrefixHashPolicy policy = new(new PolicyOptions());
        byte[] bytes = [.. Enumerable.Range(70_000, 256).SelectMany(BitConverter.GetBytes)];

        Assert.Equal(Xxh3.Hash(bytes).ToString("x16"), policy.KeyOf(Encoding.UTF8.GetBytes(Ids(70_000, 256))));
        Assert.Equal(policy.KeyOf(Encoding.UTF8.GetBytes(Ids(70_000, 256))), policy.KeyOf(Encoding.UTF8.GetBytes(Ids(70_000, 300))));
        Assert.NotEqual(policy.KeyOf(Encoding.UTF8.GetBytes(Ids(70_000, 255))), policy.KeyOf(Encoding.UTF8.GetBytes(Ids(70_000, 256))));
        Assert.Equal(policy.KeyOf("[1,2]"u8), policy.KeyOf("[ 1 ,\n2 ]"u8));
    }

    [Fact]
    public void Of_text_the_first_1024_bytes_count()
    {
        PrefixHashPolicy policy = new(new PolicyOptions());
        string head = new('a', 1024);

        Assert.Equal(Xxh3.Hash(Encoding.UTF8.GetBytes(head)).ToString("x16"), policy.KeyOf(Encoding.UTF8.GetBytes($"\"{head}xyz\"")));
        Assert.NotEqual(policy.KeyOf(Encoding.UTF8.GetBytes($"\"{head[1..]}x\"")), policy.KeyOf(Encoding.UTF8.GetBytes($"\"{head[1..]}y\"")));
    }

    // 1.25 x (15 + 1) / 4 is 5, and 1.25 x (14 + 1) / 4 is less: the place that the ring names is taken up to there.
    [Theory]
    [InlineData(5, 10, "ring")]
    [InlineData(5, 9, "ring_full")]
    public void A_prefix_leaves_its_place_when_that_is_too_full(int own, int others, string branch)
    {
        List<Candidate> candidates = Candidates(4);
        PrefixHashPolicy policy = new(new PolicyOptions());
        int owner = policy.Pick(candidates, Request("\"some prompt\"")).Index;
        candidates[owner].State.Take(own, 0, TimeSpan.Zero);
        for (int i = 0, left = others; i < 4; i++)
        {
            if (i == owner) continue;
            candidates[i].State.Take(Math.Min(left, 4), 0, TimeSpan.Zero);
            left -= Math.Min(left, 4);
        }

        PolicyPick pick = policy.Pick(candidates, Request("\"some prompt\""));

        Assert.Equal(branch, pick.Branch);
        Assert.Equal(branch == "ring", pick.Index == owner);
        if (branch == "ring_full") Assert.Equal(candidates.Min(c => c.Load), candidates[pick.Index].Load);
    }

    [Fact]
    public void Prefixes_spread_and_keep_their_place_when_another_candidate_leaves()
    {
        List<Candidate> candidates = Candidates(4);
        PrefixHashPolicy policy = new(new PolicyOptions());
        string[] prompts = [.. Enumerable.Range(0, 400).Select(i => $"\"prompt {i}\"")];
        Candidate[] before = [.. prompts.Select(p => candidates[policy.Pick(candidates, Request(p)).Index])];
        List<Candidate> left = [.. candidates.Where((_, i) => i != 1)];

        Candidate[] after = [.. prompts.Select(p => left[policy.Pick(left, Request(p)).Index])];

        Assert.All(before.Zip(after), p => Assert.True(p.First == candidates[1] || p.First == p.Second));
        Assert.All(candidates, c => Assert.InRange(before.Count(b => b == c), 50, 170));
    }

    [Fact]
    public void A_bounded_ring_takes_the_bodys_user_for_a_key_and_the_plain_one_does_not()
    {
        List<Candidate> candidates = Candidates(4);

        Assert.Equal("ring", new ConsistentHashPolicy(new PolicyOptions(), isBounded: true).Pick(candidates, Request(user: "u")).Branch);
        Assert.Equal("no_key", new ConsistentHashPolicy(new PolicyOptions(), isBounded: false).Pick(candidates, Request(user: "u")).Branch);
    }

    private static ManualPolicy Manual(AssignmentMode mode = AssignmentMode.MinGroup) => new(new PolicyOptions { AssignmentMode = mode }, new RouterRandom(3));

    [Fact]
    public void A_manual_key_stays_although_better_places_come()
    {
        ManualPolicy policy = Manual(AssignmentMode.MinLoad);
        List<Candidate> candidates = Candidates(2);
        int first = policy.Pick(candidates, Request(key: "k")).Index;
        candidates[first].State.Take(50, 0, TimeSpan.Zero);
        List<Candidate> more = [.. Candidates(4)[2..], .. candidates];

        PolicyPick again = policy.Pick(more, Request(key: "k"));

        Assert.Equal(("sticky", candidates[first]), (again.Branch, more[again.Index]));
    }

    [Fact]
    public void A_manual_key_has_two_owners_and_the_newest_comes_first()
    {
        ManualPolicy policy = Manual();
        List<Candidate> all = Candidates(3);
        Candidate one = all[policy.Pick(all, Request(key: "k")).Index];
        List<Candidate> withoutOne = [.. all.Where(c => c != one)];
        PolicyPick moved = policy.Pick(withoutOne, Request(key: "k"));
        Candidate two = withoutOne[moved.Index];

        Assert.Equal("reassigned", moved.Branch);
        Assert.Equal(two, all[policy.Pick(all, Request(key: "k")).Index]);
        List<Candidate> withoutTwo = [.. all.Where(c => c != two)];
        Assert.Equal(one, withoutTwo[policy.Pick(withoutTwo, Request(key: "k")).Index]);
        List<Candidate> third = [.. all.Where(c => c != one && c != two)];
        Assert.Equal("reassigned", policy.Pick(third, Request(key: "k")).Branch);
        // The oldest of three is dropped.
        Assert.Equal("reassigned", policy.Pick([one], Request(key: "k") with { IsDryRun = true }).Branch);
        Assert.Equal("sticky", policy.Pick([two], Request(key: "k") with { IsDryRun = true }).Branch);
    }

    [Fact]
    public void Min_group_gives_a_new_key_to_the_one_with_the_fewest()
    {
        ManualPolicy policy = Manual();
        List<Candidate> candidates = Candidates(3);

        int[] counts = [.. Enumerable.Range(0, 30).Select(i => policy.Pick(candidates, Request(key: $"k{i}")).Index).CountBy(i => i).Select(g => g.Value)];

        Assert.Equal([10, 10, 10], counts);
    }

    [Fact]
    public void Random_and_min_load_assign_as_they_say()
    {
        List<Candidate> candidates = Candidates(3);
        candidates[0].State.Take(1, 0, TimeSpan.Zero);
        candidates[2].State.Take(1, 0, TimeSpan.Zero);
        ManualPolicy byLoad = Manual(AssignmentMode.MinLoad), anyone = Manual(AssignmentMode.Random);

        Assert.All(Enumerable.Range(0, 30), i => Assert.Equal(1, byLoad.Pick(candidates, Request(key: $"k{i}")).Index));
        Assert.Equal(3, Enumerable.Range(0, 60).Select(i => anyone.Pick(candidates, Request(key: $"k{i}")).Index).Distinct().Count());
    }

    [Fact]
    public void A_long_manual_key_sticks_without_being_kept()
    {
        ManualPolicy policy = Manual();
        List<Candidate> candidates = Candidates(2);

        WeakReference sent = PickOnce(policy, candidates, 'a');
        GC.Collect();

        Assert.False(sent.IsAlive);
        Assert.Equal(["sticky", "assigned"], new[] { 'a', 'b' }.Select(end => policy.Pick(candidates, Request(key: new string('k', 30_000) + end)).Branch));
    }

    // In a method of its own, so that no local keeps the key.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference PickOnce(ManualPolicy policy, List<Candidate> candidates, char end)
    {
        string key = new string('k', 30_000) + end;
        policy.Pick(candidates, Request(key: key));
        return new WeakReference(key);
    }

    [Theory]
    [InlineData(14_400, "sticky", 1)]
    [InlineData(14_401, "assigned", 1)]
    public void A_manual_key_is_forgotten_when_it_was_idle_for_too_long(double seconds, string branch, int keys)
    {
        ManualPolicy policy = Manual();
        List<Candidate> candidates = Candidates(2);
        policy.Pick(candidates, Request(key: "k"));

        Assert.Equal(branch, policy.Pick(candidates, Request(key: "k", seconds: seconds)).Branch);
        Assert.Equal(keys, policy.KeyCount);
    }

    [Fact]
    public void Use_keeps_a_manual_key_and_neither_a_dry_run_nor_a_missing_key_is_remembered()
    {
        ManualPolicy policy = Manual();
        List<Candidate> candidates = Candidates(2);
        policy.Pick(candidates, Request(key: "k"));
        policy.Pick(candidates, Request(key: "k", seconds: 10_000));

        Assert.Equal("sticky", policy.Pick(candidates, Request(key: "k", seconds: 20_000)).Branch);
        Assert.Equal("no_key", policy.Pick(candidates, Request(seconds: 20_000)).Branch);
        Assert.Equal("assigned", policy.Pick(candidates, Request(key: "new", seconds: 20_000) with { IsDryRun = true }).Branch);
        Assert.Equal(1, policy.KeyCount);
    }

    [Fact]
    public void When_all_places_for_keys_are_taken_the_one_that_was_not_used_for_longest_goes()
    {
        ManualPolicy policy = new(new PolicyOptions { AssignmentMode = AssignmentMode.MinGroup }, new RouterRandom(3), maxKeys: 2);
        List<Candidate> candidates = Candidates(2);
        foreach (string key in new[] { "a", "b", "a", "c" }) policy.Pick(candidates, Request(key: key));

        string[] branches = [.. new[] { "a", "b", "c" }.Select(key => policy.Pick(candidates, Request(key: key) with { IsDryRun = true }).Branch)];

        Assert.Equal(["sticky", "assigned", "sticky"], branches);
        Assert.Equal(2, policy.KeyCount);
    }

    [Fact]
    public void Passthrough_takes_the_only_worker_and_refuses_to_choose()
    {
        PassthroughPolicy policy = new();

        Assert.Equal((0, null), (policy.Pick(Candidates(1), Request()).Index, policy.Pick(Candidates(1), Request()).Refusal));
        Assert.Contains("exactly one worker, and 2", policy.Pick(Candidates(2), Request()).Refusal, StringComparison.Ordinal);
    }
}
