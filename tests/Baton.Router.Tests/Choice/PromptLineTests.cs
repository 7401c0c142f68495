using Baton.Router.Workers;

namespace Baton.Router.Tests.Choice;

public sealed class PromptLineTests
{
    private readonly PromptLine _line = new(new PromptSpeed());

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);

    [Fact]
    public void Until_a_prompt_has_ended_all_of_it_is_left()
    {
        _line.Add(1000, At(0));

        Assert.Equal(1000, _line.RemainingTokens(At(100)));
    }

    [Fact]
    public void The_first_in_line_counts_less_the_longer_it_is_at_it_and_those_behind_it_count_whole()
    {
        _line.Add(1000, At(0));
        _line.Remove(1000, At(2), isComputed: true); // 500 a second
        _line.Add(4000, At(10));
        _line.Add(300, At(10));

        Assert.Equal(4300, _line.RemainingTokens(At(10)));
        Assert.Equal(3300, _line.RemainingTokens(At(12)), 1e-6);
        Assert.Equal(300, _line.RemainingTokens(At(99)), 1e-6);
    }

    [Fact]
    public void The_next_in_line_begins_when_the_first_ends()
    {
        _line.Add(1000, At(0));
        _line.Add(1000, At(0));
        _line.Remove(1000, At(1), isComputed: true);

        Assert.Equal((At(1), 1000), (_line.HeadSince, _line.Tokens));
        Assert.Equal(500, _line.RemainingTokens(At(1.5)), 1e-6);
    }

    [Fact]
    public void One_that_leaves_from_the_middle_does_not_set_the_first_back()
    {
        _line.Add(1000, At(0));
        _line.Remove(1000, At(1), isComputed: true);
        _line.Add(2000, At(1));
        _line.Add(70, At(1));

        _line.Remove(70, At(2), isComputed: false);

        Assert.Equal(At(1), _line.HeadSince);
        Assert.Equal(1000, _line.RemainingTokens(At(2)), 1e-6);
    }

    [Fact]
    public void One_that_is_given_up_says_nothing_about_the_speed()
    {
        _line.Add(1000, At(0));
        _line.Remove(1000, At(1), isComputed: true);
        _line.Add(1_000_000, At(1));
        _line.Remove(1_000_000, At(1.001), isComputed: false);
        _line.Add(1000, At(2));

        Assert.Equal(900, _line.RemainingTokens(At(2.1)), 1e-6);
    }

    [Fact]
    public void Prompts_that_shared_a_step_are_as_fast_as_the_step()
    {
        for (int i = 0; i < 4; i++) _line.Add(250, At(0));
        for (int i = 0; i < 4; i++) _line.Remove(250, At(1), isComputed: true);
        _line.Add(1000, At(1));

        Assert.InRange(_line.RemainingTokens(At(1.5)), 450, 550);
    }

    [Fact]
    public void Ranks_of_a_worker_share_what_is_known_of_their_speed()
    {
        Worker worker = new("w", new WorkerSpec { Url = new Uri("http://h:1"), Role = Core.Ids.WorkerRole.Prefill, DpSize = 2 });
        worker.Ranks[0].Take(1, 1000, At(0));
        worker.Ranks[0].EndPrompts(1000, At(1), areComputed: true);

        worker.Ranks[1].Take(1, 1000, At(1));

        Assert.Equal(600, worker.Ranks[1].Prompts.RemainingTokens(At(1.4)), 1e-6);
    }
}
