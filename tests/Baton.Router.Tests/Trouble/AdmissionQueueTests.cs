using Baton.Router.Errors;
using Baton.Router.Trouble;
using Baton.Simulation.Clock;

namespace Baton.Router.Tests.Trouble;

public sealed class AdmissionQueueTests
{
    private readonly VirtualTimeProvider _time = new();

    private static Task<RouterError?> Enter(AdmissionQueue queue, PriorityClass priority = PriorityClass.Default, string? key = null, CancellationToken ct = default) =>
        queue.EnterAsync(priority, key, ct).AsTask();

    [Fact]
    public async Task A_place_is_held_until_it_is_left_and_then_goes_to_who_waited()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1 }, _time);
        Assert.Null(await Enter(queue));

        Task<RouterError?> second = Enter(queue);
        Assert.False(second.IsCompleted);
        queue.Leave(null);

        Assert.Null(await second);
        Assert.Equal((1, 0), (queue.Running, queue.Waiting));
    }

    [Fact]
    public async Task A_full_queue_is_429_with_a_time_to_retry()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1, QueueSize = 1 }, _time);
        await Enter(queue);
        _ = Enter(queue);

        RouterError? refused = await Enter(queue);

        Assert.Equal((429, "queue_full"), (refused?.Status, refused?.Code));
        Assert.NotNull(refused!.RetryAfter);
    }

    [Fact]
    public async Task A_wait_ends_with_408_at_its_deadline_and_not_before()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1, QueueTimeout = TimeSpan.FromSeconds(60) }, _time);
        await Enter(queue);
        Task<RouterError?> waiting = Enter(queue);

        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(1, queue.Waiting);
        _time.Advance(TimeSpan.FromSeconds(1));
        RouterError? expired = await waiting;

        Assert.Equal((408, "queue_timeout"), (expired?.Status, expired?.Code));
        Assert.Equal((1, 0), (queue.Running, queue.Waiting));
    }

    [Fact]
    public async Task A_client_that_leaves_the_queue_leaves_nothing_behind()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1 }, _time);
        await Enter(queue);
        using CancellationTokenSource gone = new();
        Task<RouterError?> waiting = Enter(queue, ct: gone.Token);

        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        queue.Leave(null);

        Assert.Equal((0, 0), (queue.Running, queue.Waiting));
    }

    [Fact]
    public async Task Classes_are_served_eight_to_four_to_two_to_one()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1, QueueSize = 1000 }, _time);
        await Enter(queue);
        List<(PriorityClass Class, Task Task)> waiting = [];
        foreach (PriorityClass each in Enum.GetValues<PriorityClass>())
            for (int i = 0; i < 30; i++) waiting.Add((each, Enter(queue, each)));
        Dictionary<PriorityClass, int> served = [];

        for (int i = 0; i < 15; i++)
        {
            queue.Leave(null);
            await Task.WhenAny(waiting.Select(w => w.Task));
            (PriorityClass Class, Task Task) next = Assert.Single(waiting, w => w.Task.IsCompletedSuccessfully);
            waiting.Remove(next);
            served[next.Class] = served.GetValueOrDefault(next.Class) + 1;
        }

        Assert.Equal((8, 4, 2, 1), (served[PriorityClass.System], served[PriorityClass.Interactive], served[PriorityClass.Default], served[PriorityClass.Bulk]));
    }

    [Fact]
    public async Task One_keys_limit_holds_back_that_key_alone()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrentPerKey = 1 }, _time);
        Assert.Null(await Enter(queue, key: "a"));
        Task<RouterError?> second = Enter(queue, key: "a");

        Task<RouterError?> other = Enter(queue, key: "b");

        Assert.True(other.IsCompletedSuccessfully);
        Assert.False(second.IsCompleted);
        queue.Leave("a");
        Assert.Null(await second);
    }

    [Fact]
    public async Task Requests_beyond_the_rate_are_429_with_the_time_until_the_next_token()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 3, RatePerSecond = 0.5 }, _time);
        for (int i = 0; i < 3; i++)
        {
            Assert.Null(await Enter(queue));
            queue.Leave(null);
        }

        RouterError? fourth = await Enter(queue);
        _time.Advance(TimeSpan.FromSeconds(1.5));
        RouterError? early = await Enter(queue);
        _time.Advance(TimeSpan.FromSeconds(0.5));
        RouterError? later = await Enter(queue);
        RouterError? again = await Enter(queue);

        Assert.Equal((429, "rate_limited", 2.0), (fourth!.Status, fourth.Code, fourth.RetryAfter!.Value.TotalSeconds));
        Assert.Equal(0.5, early!.RetryAfter!.Value.TotalSeconds, 6);
        Assert.Null(later);
        Assert.Equal("rate_limited", again?.Code);
    }

    [Fact]
    public async Task A_bucket_fills_up_to_one_burst_and_a_full_queue_costs_no_token()
    {
        AdmissionQueue queue = new(new AdmissionOptions { MaxConcurrent = 1, QueueSize = 0, RatePerSecond = 1 }, _time);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Null(await Enter(queue));
        _time.Advance(TimeSpan.FromSeconds(1));

        RouterError? full = await Enter(queue);
        queue.Leave(null);
        RouterError? next = await Enter(queue);
        queue.Leave(null);

        Assert.Equal("queue_full", full?.Code);
        Assert.Null(next);
        Assert.Equal("rate_limited", (await Enter(queue))?.Code);
    }
}
