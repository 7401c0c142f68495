using System.Buffers;
using Baton.Router.Forwarding;

namespace Baton.Router.Answers;

/// <summary>Keeps an answer in memory, to be merged with others or edited before it goes out.</summary>
/// <param name="maxBytes">A longer answer is a fault.</param>
internal sealed class CapturedReply(int maxBytes) : IClientReply
{
    private readonly ArrayBufferWriter<byte> _body = new(4096);
    private bool _complete = true;

    public bool HasStarted { get; private set; }

    public int Status { get; private set; }

    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; private set; } = [];

    public ReadOnlySpan<byte> Body => _body.WrittenSpan;

    /// <summary>False when the worker broke off in the middle.</summary>
    public bool IsWhole => HasStarted && _complete;

    public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        HasStarted = true;
        Status = status;
        Headers = [.. headers];
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        if (_body.WrittenCount + bytes.Length > maxBytes) throw new InvalidDataException($"One sample's answer is longer than {maxBytes} bytes.");
        _body.Write(bytes.Span);
        return ValueTask.CompletedTask;
    }

    public void Abort() => _complete = false;
}
