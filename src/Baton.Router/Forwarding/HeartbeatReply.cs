namespace Baton.Router.Forwarding;

/// <summary>Keeps a stream's connection awake until the first byte of the answer: one comment every interval, which clients of event streams skip.</summary>
/// <remarks>
/// The first comment commits the answer to 200 and an event stream. Attempts may still fail and be repeated behind it, for no byte of an answer
/// went out; an error that is left in the end is told as an event, because the status is gone.
/// </remarks>
internal sealed class HeartbeatReply : IClientReply, IAsyncDisposable
{
    private static readonly byte[] Comment = ": keep-alive\n\n"u8.ToArray();
    private readonly IClientReply _reply;
    private readonly string _requestId;
    private readonly CancellationToken _clientGone;
    private readonly CancellationTokenSource _answered = new();
    // One writer at a time: a comment under way ends before the answer begins.
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly Task _beating;
    private (int Status, IReadOnlyList<KeyValuePair<string, string>> Headers)? _head;
    private bool _committed, _begun;

    public HeartbeatReply(IClientReply reply, string requestId, TimeSpan interval, TimeProvider time, CancellationToken clientGone)
    {
        (_reply, _requestId, _clientGone) = (reply, requestId, clientGone);
        _beating = BeatAsync(interval, time);
    }

    /// <summary>A byte of the answer itself went out; comments do not count.</summary>
    public bool HasStarted => _begun && _reply.HasStarted;

    /// <summary>Kept until the first byte is there; by then the comments may have sent a head already.</summary>
    public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers) => _head = (status, headers);

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        if (!_begun) await BeginAsync(ct);
        await _reply.WriteAsync(IsError ? AsEvent(bytes.Span) : bytes, ct);
    }

    public async ValueTask FinishAsync(ReadOnlyMemory<byte> last, CancellationToken ct)
    {
        if (!_begun) await BeginAsync(ct);
        await _reply.FinishAsync(IsError ? AsEvent(last.Span) : last, ct);
    }

    public void Abort() => _reply.Abort();

    public async ValueTask DisposeAsync()
    {
        await _answered.CancelAsync();
        await _beating;
        _answered.Dispose();
        _turn.Dispose();
    }

    private bool IsError => _committed && _head is { Status: < 200 or > 299 };

    private async ValueTask BeginAsync(CancellationToken ct)
    {
        await _turn.WaitAsync(ct);
        _begun = true;
        _turn.Release();
        await _answered.CancelAsync();
        if (!_committed && _head is { } head) _reply.Start(head.Status, head.Headers);
    }

    private async Task BeatAsync(TimeSpan interval, TimeProvider time)
    {
        try
        {
            while (true)
            {
                await Task.Delay(interval, time, _answered.Token);
                await _turn.WaitAsync(_answered.Token);
                try
                {
                    if (_begun) return;
                    if (!_committed) _reply.Start(200, [new("content-type", "text/event-stream"), new("cache-control", "no-cache"), new("x-accel-buffering", "no"), new("x-request-id", _requestId)]);
                    _committed = true;
                    // Not cut by the answer: the server closes a connection whose write is cancelled.
                    await _reply.WriteAsync(Comment, _clientGone);
                }
                finally
                {
                    _turn.Release();
                }
            }
        }
        catch (OperationCanceledException) when (_answered.IsCancellationRequested || _clientGone.IsCancellationRequested)
        {
            // The answer is there, or nobody waits for it.
        }
    }

    private static byte[] AsEvent(ReadOnlySpan<byte> json) => [.. "data: "u8, .. json, .. "\n\ndata: [DONE]\n\n"u8];
}
