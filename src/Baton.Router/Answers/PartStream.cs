using Baton.Router.Bodies;
using Baton.Router.Errors;
using Baton.Router.Forwarding;

namespace Baton.Router.Answers;

/// <summary>Weaves the event streams of a request's parts into one: whole events, each moved to its part's index, one end for all.</summary>
/// <remarks>
/// A write ends with the client, or when the client has taken nothing for <paramref name="stallTimeout"/>; never with the part whose event
/// it is: the server closes a connection whose write is cancelled, and the other parts' error could not be told any more.
/// </remarks>
internal sealed class PartStream(DataEndpoint endpoint, PartOrder order, IClientReply reply, TimeSpan stallTimeout, TimeProvider time, CancellationToken clientGone) : IDisposable
{
    private readonly Lock _beginning = new();
    private readonly SemaphoreSlim _turn = new(1, 1);
    private byte[]? _id;
    private byte[]? _usageTemplate;
    private UsageSum _usage = new(order.ArePrompts);

    /// <summary>The reply that one part's attempts write to.</summary>
    public PartReply Part(int index) => new(this, index);

    /// <summary>All parts ended well: the usage of all, then the end.</summary>
    public async Task FinishAsync()
    {
        if (_usageTemplate is { } template) await WriteAsync(Framed(PartMerge.Usage(template, _usage, _id)));
        await WriteAsync("data: [DONE]\n\n"u8.ToArray());
    }

    public async Task CutAsync(RouterError error)
    {
        await _turn.WaitAsync();
        try
        {
            await WriteAsync((byte[])[.. Framed(error.ToJson()), .. "data: [DONE]\n\n"u8]);
        }
        catch (OperationCanceledException)
        {
            // The client does not listen.
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    private async ValueTask PassOnAsync(int part, ReadOnlyMemory<byte> sse, CancellationToken ct)
    {
        ReadOnlyMemory<byte> data = SseSplitter.Data(sse);
        if (SseSplitter.IsDone(sse)) return;
        await _turn.WaitAsync(ct);
        try
        {
            if (data.IsEmpty) await WriteAsync(sse);
            else if (endpoint != DataEndpoint.Generate && PartMerge.IsUsage(data.Span))
            {
                _usage.Add(data.Span);
                _usageTemplate = data.ToArray();
            }
            else
            {
                _id ??= JsonPlaces.Find(data.Span, "id") is var id && !JsonPlaces.IsEmpty(id) ? data.Span[id].ToArray() : null;
                await WriteAsync(Framed(PartMerge.Event(endpoint, data.Span, part, order, _id)));
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        using CancellationTokenSource patience = new(stallTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, clientGone);
        await reply.WriteAsync(bytes, either.Token);
    }

    private static byte[] Framed(byte[] json) => [.. "data: "u8, .. json, .. "\n\n"u8];

    /// <summary>One part's way to the client.</summary>
    internal sealed class PartReply(PartStream stream, int index) : IClientReply
    {
        private readonly SseSplitter _events = new();

        public bool HasStarted { get; private set; }

        /// <summary>The error of a cut part is written once for all of them.</summary>
        public bool TellsEnd => true;

        /// <summary>What the worker itself said in an error event: it answered 200 and failed later.</summary>
        public WorkerWords? Failure { get; private set; }

        public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
        {
            HasStarted = true;
            lock (stream._beginning)
                if (!stream.IsStarted) stream.Begin(status, headers);
        }

        public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
        {
            _events.Add(bytes.Span);
            while (_events.TryTake(out ReadOnlyMemory<byte> sse))
            {
                if (SseSplitter.Data(sse) is var data && data.Span.StartsWith("{\"error\""u8)) Failure = WorkerWords.Read(data.Span);
                else await stream.PassOnAsync(index, sse, ct);
            }
        }

        public void Abort()
        {
        }
    }

    /// <summary>The first part to start begins the answer for all: once, under the lock.</summary>
    private bool IsStarted { get; set; }

    private void Begin(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        IsStarted = true;
        reply.Start(status, headers);
    }
}
