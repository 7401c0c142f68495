using Baton.Router.KvEvents;

namespace Baton.Router.Tests.KvEvents;

public sealed class KvBlocksTests
{
    private static int Match(KvBlocks blocks, params uint[] prompt) => blocks.Match(new PromptBlocks(prompt));

    [Fact]
    public void A_prompt_matches_block_by_block_from_its_start()
    {
        KvBlocks blocks = new();
        blocks.Store([1, 2], null, [10, 11, 12, 13], 2);
        blocks.Store([3], 2, [14, 15], 2);
        blocks.Store([4], 1, [20, 21], 2);

        Assert.Equal(6, Match(blocks, 10, 11, 12, 13, 14, 15, 16, 17));
        Assert.Equal(4, Match(blocks, 10, 11, 12, 13, 14));
        Assert.Equal(4, Match(blocks, 10, 11, 20, 21, 14, 15));
        Assert.Equal(0, Match(blocks, 12, 13, 14, 15));
        Assert.Equal(0, Match(blocks, 10));
        Assert.Equal(0, Match(blocks));
    }

    [Fact]
    public void The_same_tokens_behind_another_beginning_are_another_block()
    {
        KvBlocks blocks = new();
        blocks.Store([1], null, [10], 1);
        blocks.Store([2], 1, [10], 1);

        Assert.Equal(2, Match(blocks, 10, 10, 10));
        blocks.Remove([1]);
        Assert.Equal(0, Match(blocks, 10, 10, 10));
    }

    [Fact]
    public void A_removed_block_ends_the_match_in_front_of_it_and_may_come_back()
    {
        KvBlocks blocks = new();
        blocks.Store([1, 2, 3], null, [10, 11, 12], 1);

        blocks.Remove([3, 99]);
        int without = Match(blocks, 10, 11, 12);
        blocks.Store([3], 2, [12], 1);

        Assert.Equal((2, 3), (without, Match(blocks, 10, 11, 12)));
    }

    [Fact]
    public void A_block_told_twice_is_gone_once_it_is_removed()
    {
        KvBlocks blocks = new();
        blocks.Store([1], null, [10], 1);
        blocks.Store([1], null, [10], 1);

        blocks.Remove([1]);

        Assert.Equal((0, 0), (blocks.Count, Match(blocks, 10)));
    }

    [Fact]
    public void Tokens_held_under_two_names_stay_until_both_are_removed()
    {
        KvBlocks blocks = new();
        blocks.Store([1], null, [10], 1);
        blocks.Store([2], null, [10], 1);

        blocks.Remove([1]);
        int one = Match(blocks, 10);
        blocks.Remove([2]);

        Assert.Equal((1, 0), (one, Match(blocks, 10)));
    }

    [Fact]
    public void A_block_behind_one_that_was_never_told_is_left_out_and_more_may_be_there_than_is_known()
    {
        KvBlocks blocks = new();
        blocks.BeginBatch(0);
        bool before = blocks.IsWhole;

        blocks.Store([2], 1, [10], 1);
        blocks.Store([3], 2, [11], 1);

        Assert.Equal((true, false, 0), (before, blocks.IsWhole, blocks.Count));
    }

    [Fact]
    public void One_name_for_blocks_at_two_places_is_refused()
    {
        KvBlocks blocks = new();
        blocks.Store([1], null, [10], 1);
        blocks.Store([2], 1, [11], 1);

        Assert.Throws<KvEventException>(() => blocks.Store([1], 2, [10], 1));
    }

    [Fact]
    public void Another_block_size_is_refused_unless_the_cache_was_emptied()
    {
        KvBlocks blocks = new();
        blocks.Store([1], null, [10, 11], 2);

        Assert.Throws<KvEventException>(() => blocks.Store([2], null, [10], 1));
        blocks.Clear();
        blocks.Store([2], null, [10], 1);

        Assert.Equal(1, Match(blocks, 10, 11));
    }

    [Theory]
    [InlineData(65536, true)]
    [InlineData(65537, false)]
    public void A_block_has_at_most_65536_tokens(int size, bool isTaken)
    {
        KvBlocks blocks = new();

        Exception? refused = Record.Exception(() => blocks.Store([1], null, new uint[size], size));

        Assert.Equal(isTaken, refused is null);
        Assert.True(isTaken || refused is KvEventException);
    }

    [Fact]
    public void At_the_bound_everything_is_forgotten_and_counted()
    {
        KvBlocks blocks = new(maxBlocks: 2);
        blocks.BeginBatch(0);
        blocks.Store([1, 2], null, [10, 11], 1);
        (int full, bool whole) = (Match(blocks, 10, 11), blocks.IsWhole);

        blocks.Store([3], 2, [12], 1);

        Assert.Equal((2, true), (full, whole));
        Assert.Equal((0, false, 1), (blocks.Count, blocks.IsWhole, blocks.ForgottenBy(KvForgotten.Full)));
    }

    [Fact]
    public void A_gap_in_the_numbers_of_batches_forgets_what_came_before()
    {
        KvBlocks blocks = new();
        blocks.BeginBatch(0);
        blocks.Store([1], null, [10], 1);
        blocks.BeginBatch(1);
        (int without, bool whole) = (Match(blocks, 10), blocks.IsWhole);

        blocks.BeginBatch(3);

        Assert.Equal((1, true), (without, whole));
        Assert.Equal((0, false, 1, 3), (blocks.Count, blocks.IsWhole, blocks.ForgottenBy(KvForgotten.Gap), blocks.Batches));
    }

    [Fact]
    public void A_publisher_that_counts_from_0_again_is_a_new_one_of_which_all_is_known()
    {
        KvBlocks blocks = new();
        blocks.BeginBatch(7);
        blocks.Store([1], null, [10], 1);
        bool before = blocks.IsWhole;

        blocks.BeginBatch(0);

        Assert.Equal((false, 0, true), (before, blocks.Count, blocks.IsWhole));
    }

    [Fact]
    public void An_ended_connection_forgets_and_its_numbers_no_longer_count()
    {
        KvBlocks blocks = new();
        blocks.Begin();
        blocks.BeginBatch(4);
        blocks.Store([1], null, [10], 1);

        blocks.End();
        blocks.End();
        blocks.Begin();
        blocks.BeginBatch(9);

        Assert.Equal((0, true, 1, 0), (blocks.Count, blocks.IsLive, blocks.ForgottenBy(KvForgotten.Lost), blocks.ForgottenBy(KvForgotten.Gap)));
    }

    [Fact]
    public void Reading_and_writing_at_once_ends_in_what_was_written_last()
    {
        KvBlocks blocks = new();
        uint[] prompt = [.. Enumerable.Range(0, 64).Select(i => (uint)i)];
        long[] hashes = [.. Enumerable.Range(1, 64).Select(i => (long)i)];

        Parallel.Invoke(
            () =>
            {
                for (int i = 0; i < 500; i++)
                {
                    blocks.Store(hashes, null, prompt, 1);
                    blocks.Remove(hashes.AsSpan(32));
                }
            },
            () =>
            {
                for (int i = 0; i < 500; i++) Assert.InRange(Match(blocks, prompt), 0, 64);
            });

        Assert.Equal((32, 32), (blocks.Count, Match(blocks, prompt)));
    }
}
