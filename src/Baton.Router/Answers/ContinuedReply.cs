using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Baton.Router.Bodies;
using Baton.Router.Errors;
using Baton.Router.Forwarding;

namespace Baton.Router.Answers;

/// <summary>Passes the stream of one attempt after the other to the client as one: remembers what was said, and moves what comes later behind it.</summary>
/// <remarks>
/// <c>/v1/completions</c> sends increments; <c>/generate</c> sends all text so far in every event, or increments from workers that stream so: they say it in
/// <c>/server_info</c>, or show it by an event that does not repeat what came before. An event that was cut in the middle was never passed on.
/// </remarks>
/// <param name="isIncremental">The workers of <c>/generate</c> are known to stream increments.</param>
internal sealed class ContinuedReply(DataEndpoint endpoint, bool isIncremental, IClientReply reply) : IClientReply
{
    /// <summary>So much of an answer is remembered; a longer one ends where its worker does.</summary>
    private const int MaxBytes = 4 * 1024 * 1024;

    private readonly bool _isNative = endpoint == DataEndpoint.Generate;
    private SseSplitter _events = new();
    private bool _isIncremental = isIncremental, _attemptBegan, _isNext;
    // Of the attempts before: their text, ids and tokens. And of this one.
    private byte[] _textBefore = [], _idsBefore = [];
    private readonly ArrayBufferWriter<byte> _textNow = new(), _idsNow = new();
    private int _tokensBefore, _tokensNow;
    private byte[]? _id, _created;
    private long? _promptTokens;

    /// <summary>This attempt's bytes went out, so it cannot be repeated unseen.</summary>
    public bool HasStarted => _attemptBegan;

    public bool TellsEnd => true;

    /// <summary>The client has its <c>[DONE]</c>.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The client has more than is remembered of it.</summary>
    public bool IsTooLong { get; private set; }

    /// <summary>All text that the client has, as JSON writes it between the quotes.</summary>
    public byte[] Text => [.. _textBefore, .. _textNow.WrittenSpan];

    public int Tokens => _tokensBefore + _tokensNow;

    /// <summary>Another attempt goes on where this one broke.</summary>
    public void BeginNext()
    {
        byte[] ids = _idsBefore.Length > 0 && _idsNow.WrittenCount > 0 ? [.. _idsBefore, (byte)',', .. _idsNow.WrittenSpan] : [.. _idsBefore, .. _idsNow.WrittenSpan];
        (_textBefore, _idsBefore, _tokensBefore) = (Text, ids, Tokens);
        (_tokensNow, _attemptBegan, _isNext) = (0, false, true);
        _textNow.ResetWrittenCount();
        _idsNow.ResetWrittenCount();
        _events = new SseSplitter();
    }

    /// <summary>Only the first attempt's head reaches the client.</summary>
    public void Start(int status, IReadOnlyList<KeyValuePair<string, string>> headers)
    {
        if (!reply.HasStarted) reply.Start(status, headers);
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken ct)
    {
        _attemptBegan = true;
        _events.Add(bytes.Span);
        while (_events.TryTake(out ReadOnlyMemory<byte> sse))
        {
            IsDone |= SseSplitter.IsDone(sse);
            ReadOnlyMemory<byte> data = SseSplitter.Data(sse);
            await reply.WriteAsync(data.IsEmpty || IsDone ? sse : Moved(sse, data.Span), ct);
        }
    }

    /// <summary>Ends a stream that could not be continued.</summary>
    public async ValueTask CutAsync(RouterError error, CancellationToken ct) => await reply.WriteAsync((byte[])[.. "data: "u8, .. error.ToJson(), .. "\n\ndata: [DONE]\n\n"u8], ct);

    public void Abort() => reply.Abort();

    private ReadOnlyMemory<byte> Moved(ReadOnlyMemory<byte> sse, ReadOnlySpan<byte> data)
    {
        try
        {
            ByteEdits edits = new();
            if (_isNative) MoveNative(edits, data);
            else MoveCompletion(edits, data);
            return edits.InOrder.Count == 0 ? sse : (byte[])[.. "data: "u8, .. edits.Apply(data), .. "\n\n"u8];
        }
        catch (JsonException)
        {
            // Not an event of these endpoints: it goes on as it came.
            return sse;
        }
    }

    private void MoveCompletion(ByteEdits edits, ReadOnlySpan<byte> data)
    {
        Range list = JsonPlaces.Find(data, "choices");
        if (JsonPlaces.IsArray(data, list) && JsonPlaces.Elements(data, list) is [var only])
        {
            ReadOnlySpan<byte> text = Content(data[only], JsonPlaces.Find(data[only], "text"));
            Remember(text, default, isMore: true);
            if (text.Length > 0) _tokensNow++;
        }
        Keep(edits, data, ref _id, "id");
        Keep(edits, data, ref _created, "created");
        MoveUsage(edits, data, "usage");
    }

    private void MoveNative(ByteEdits edits, ReadOnlySpan<byte> data)
    {
        Range place = JsonPlaces.Find(data, "text"), ids = JsonPlaces.Find(data, "output_ids");
        if (JsonPlaces.IsEmpty(place)) return;
        ReadOnlySpan<byte> text = Content(data, place), elements = Elements(data, ids);
        long? counted = JsonPlaces.Integer(data, JsonPlaces.Find(data, "meta_info", "completion_tokens"));
        if (_tokensNow > 0 && !_isIncremental)
            _isIncremental = elements.Length > 0
                ? !elements.StartsWith(_idsNow.WrittenSpan) || (elements.Length == _idsNow.WrittenCount && counted > _tokensNow)
                : !text.StartsWith(_textNow.WrittenSpan);
        Remember(text, elements, isMore: _isIncremental);
        if (counted is null && text.Length > 0) _tokensNow++;
        if (!_isIncremental)
        {
            Insert(edits, place, _textBefore, isList: false, isEmpty: false);
            if (JsonPlaces.IsArray(data, ids)) Insert(edits, ids, _idsBefore, isList: true, isEmpty: elements.IsEmpty);
        }
        MoveUsage(edits, data, "meta_info");
        Range id = JsonPlaces.Find(data, "meta_info", "id");
        if (!JsonPlaces.IsEmpty(id))
        {
            _id ??= data[id].ToArray();
            if (_isNext) edits.Replace(id, _id);
        }
        if (_tokensBefore == 0) return;
        Range length = JsonPlaces.Find(data, "meta_info", "finish_reason", "length");
        if (JsonPlaces.Integer(data, length) is { } generated) edits.Replace(length, Number(generated + _tokensBefore));
    }

    /// <param name="isMore">Behind what this attempt said before; else in place of it.</param>
    private void Remember(ReadOnlySpan<byte> text, ReadOnlySpan<byte> ids, bool isMore)
    {
        if (!isMore)
        {
            _textNow.ResetWrittenCount();
            _idsNow.ResetWrittenCount();
        }
        IsTooLong |= _textBefore.Length + _idsBefore.Length + _textNow.WrittenCount + _idsNow.WrittenCount + text.Length + ids.Length > MaxBytes;
        if (IsTooLong) return;
        _textNow.Write(text);
        if (_idsNow.WrittenCount > 0 && ids.Length > 0) _idsNow.Write(","u8);
        _idsNow.Write(ids);
    }

    /// <summary>What was said before is no prompt, although this attempt's worker was given it as one.</summary>
    private void MoveUsage(ByteEdits edits, ReadOnlySpan<byte> data, string parent)
    {
        Range prompt = JsonPlaces.Find(data, parent, "prompt_tokens"), completion = JsonPlaces.Find(data, parent, "completion_tokens"), total = JsonPlaces.Find(data, parent, "total_tokens");
        if (JsonPlaces.Integer(data, completion) is not { } counted) return;
        _tokensNow = (int)counted;
        if (JsonPlaces.Integer(data, prompt) is { } own && (_promptTokens ??= own - _tokensBefore) is var first && _tokensBefore > 0) edits.Replace(prompt, Number(first));
        if (_tokensBefore == 0) return;
        edits.Replace(completion, Number(counted + _tokensBefore));
        if (JsonPlaces.Integer(data, total) is not null && _promptTokens is { } known) edits.Replace(total, Number(known + counted + _tokensBefore));
    }

    /// <summary>The first attempt's value, in every event.</summary>
    private void Keep(ByteEdits edits, ReadOnlySpan<byte> data, ref byte[]? value, string name)
    {
        Range place = JsonPlaces.Find(data, name);
        if (JsonPlaces.IsEmpty(place)) return;
        value ??= data[place].ToArray();
        if (_isNext) edits.Replace(place, value);
    }

    private static void Insert(ByteEdits edits, Range value, byte[] before, bool isList, bool isEmpty)
    {
        int at = value.Start.Value + 1;
        if (before.Length > 0) edits.Replace(at..at, isList && !isEmpty ? [.. before, (byte)','] : before);
    }

    private static ReadOnlySpan<byte> Content(ReadOnlySpan<byte> json, Range text) =>
        !JsonPlaces.IsEmpty(text) && json[text.Start.Value] == '"' ? json[(text.Start.Value + 1)..(text.End.Value - 1)] : default;

    private static ReadOnlySpan<byte> Elements(ReadOnlySpan<byte> json, Range list) =>
        JsonPlaces.IsArray(json, list) ? json[(list.Start.Value + 1)..(list.End.Value - 1)].Trim((byte)' ') : default;

    private static byte[] Number(long value) => Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture));
}
