using System.Text;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Forwarding;
using Baton.Router.Legs;
using Baton.Router.Trouble;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Router.Tests.Forwarding;

/// <summary>Bytes of decode that arrive in the same moment as the deadline for them.</summary>
public sealed class LateBytesTests
{
    private readonly VirtualTimeProvider _time = new();

    [Theory]
    [InlineData("""{"text":"a"}""", 1, 504, 0, "first_token_timeout")]
    [InlineData("""{"text":"a","stream":true}""", 1, 504, 0, "first_token_timeout")]
    [InlineData("""{"text":"a","stream":true}""", 2, 200, 1, "stream_stalled")]
    public async Task A_deadline_that_passes_as_bytes_arrive_is_told_and_closes_no_connection(string body, int lateRead, int status, int events, string error)
    {
        RouterOptions options = new() { TtftTimeout = TimeSpan.FromSeconds(5), StallTimeout = TimeSpan.FromSeconds(5), Retry = new RetryOptions { IsEnabled = false } };

        Reply reply = await AnswerAsync(options, body, lateRead, writeTakes: TimeSpan.Zero);

        Assert.Equal((status, events), (reply.Status, reply.Text.Split("hello").Length - 1));
        Assert.Contains(error, reply.Text, StringComparison.Ordinal);
        Assert.False(reply.IsClosed);
    }

    [Fact]
    public async Task The_deadline_of_the_whole_request_waits_for_a_client_that_is_just_taking_its_bytes()
    {
        RouterOptions options = new() { RequestTimeout = TimeSpan.FromSeconds(5), StallTimeout = TimeSpan.FromSeconds(60), Retry = new RetryOptions { IsEnabled = false } };

        Reply reply = await AnswerAsync(options, """{"text":"a","stream":true}""", lateRead: 0, writeTakes: TimeSpan.FromSeconds(10));

        Assert.False(reply.IsClosed);
        Assert.Contains("hello", reply.Text, StringComparison.Ordinal);
        Assert.EndsWith("data: [DONE]\n\n", reply.Text, StringComparison.Ordinal);
    }

    private async Task<Reply> AnswerAsync(RouterOptions options, string body, int lateRead, TimeSpan writeTakes)
    {
        Reply reply = new(_time, writeTakes);
        Transport transport = new();
        WorkerFleet fleet = new();
        fleet.Add(new WorkerSpec { Url = new Uri("http://127.0.0.1:1"), Role = WorkerRole.Unified })!.Status = WorkerStatus.Ready;
        PdRouter router = new(options, fleet, seed: 1);
        using RouterMetrics metrics = new(router, () => 0, _time);
        PdForwarder forwarder = new(router, transport, options, metrics, new RouteJournal(), _time, 1, NullLogger<PdForwarder>.Instance);

        Task forwarding = forwarder.ForwardAsync(ClientBodyReader.Read(Encoding.UTF8.GetBytes(body), DataEndpoint.Generate), new RequestHead { Forwarded = [], RequestId = "r" }, reply, CancellationToken.None);
        transport.Answer.SetResult(new Response(_time, lateRead));
        await forwarding;
        return reply;
    }

    /// <summary>As the web server does it: a write that is cancelled closes the connection.</summary>
    private sealed class Reply(VirtualTimeProvider time, TimeSpan writeTakes) : IClientReply
    {
        public bool HasStarted => Text.Length > 0;
        public bool IsClosed { get; private set; }
        public int Status { get; private set; }
        public string Text { get; private set; } = "";

        public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
        {
            _ = headers.ToList();
            Status = status;
        }

        public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
        {
            time.Advance(writeTakes);
            IsClosed |= ct.IsCancellationRequested;
            ct.ThrowIfCancellationRequested();
            Text += Encoding.UTF8.GetString(bytes.Span);
            return default;
        }

        public void Abort() => IsClosed = true;
    }

    private sealed class Transport : ILegTransport
    {
        // Continues inline: the reads happen in SetResult, with the deadline for the first byte set before.
        public TaskCompletionSource<ILegResponse> Answer { get; } = new();

        public Task<ILegResponse> SendAsync(LegRequest leg, CancellationToken ct)
        {
            leg.Body.Dispose();
            return Answer.Task;
        }

        public void Abort(Worker worker, string requestId)
        {
        }
    }

    /// <summary>Two reads of an event each, then the end; with one of the reads 10 s pass.</summary>
    private sealed class Response(VirtualTimeProvider time, int lateRead) : ILegResponse
    {
        private int _reads;

        public int StatusCode => 200;

        public IReadOnlyList<KeyValuePair<string, string>> Headers => [];

        public ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken ct)
        {
            if (++_reads == lateRead) time.Advance(TimeSpan.FromSeconds(10));
            return ValueTask.FromResult(_reads > 2 ? 0 : Encoding.UTF8.GetBytes("data: hello\n\n", into.Span));
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
