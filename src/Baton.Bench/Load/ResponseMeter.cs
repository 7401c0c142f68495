using System.Text;
using System.Text.Json;

namespace Baton.Bench.Load;

/// <summary>Follows one response body: cuts it into lines, and turns what they say into the record's times and counts.</summary>
/// <remarks>The rules of what counts when are bench_serving's, per API, except that an error object or an early end inside a 200 is an error here.</remarks>
internal sealed class ResponseMeter(RequestRecord record, BenchApi api, bool isStream, bool keepText)
{
    private TimeSpan _lastTokensAt;
    private int _countedTokens;
    private int _contentEvents;
    private bool _sawEnd;
    private StringBuilder? _deltas;

    /// <summary>Takes the complete lines at the front of <paramref name="received"/>.</summary>
    /// <returns>Bytes used; the rest is the start of a line that is still under way.</returns>
    public int Accept(ReadOnlySpan<byte> received, TimeSpan now)
    {
        int used = 0;
        while (true)
        {
            int length = received[used..].IndexOf((byte)'\n');
            if (length < 0) return used;
            AcceptLine(received.Slice(used, length), now);
            used += length + 1;
        }
    }

    /// <summary>The body ended. What is left after the last newline counts as a line.</summary>
    public void Finish(ReadOnlySpan<byte> rest, TimeSpan now)
    {
        if (!isStream)
        {
            record.EndedAt = now;
            if (rest.Length > 0) AcceptEvent(rest, now);
        }
        else if (rest.Length > 0)
        {
            AcceptLine(rest, now);
        }
        if (record.OutputTokens == 0) record.OutputTokens = _countedTokens > 0 ? _countedTokens : _contentEvents;
        if (_deltas is not null) record.GeneratedText = _deltas.ToString();
        if (record.Error is not null) return;
        if (isStream && !_sawEnd)
            record.Error = new RequestError(RequestErrorKind.Truncated, "", $"the stream ended after {record.OutputTokens} tokens with neither a finish reason nor [DONE]");
        else if (record.FirstTokenAt is null)
            record.Error = new RequestError(RequestErrorKind.NoTokens, "", "the response was complete but had no content");
    }

    private void AcceptLine(ReadOnlySpan<byte> line, TimeSpan now)
    {
        line = line.Trim(" \r\t"u8);
        if (line.Length == 0) return;
        record.EndedAt = now;
        if (line.StartsWith("data:"u8))
        {
            line = line[5..].TrimStart((byte)' ');
            if (line.SequenceEqual("[DONE]"u8)) _sawEnd = true;
            else if (line.Length > 0) AcceptEvent(line, now);
        }
        else if (line[0] == (byte)'{')
        {
            // Some servers answer a stream request with a bare error object.
            AcceptEvent(line, now);
        }
    }

    private void AcceptEvent(ReadOnlySpan<byte> json, TimeSpan now)
    {
        ResponseEvent happened;
        try
        {
            happened = ResponseEvent.Parse(json, record, keepText);
        }
        catch (JsonException broken)
        {
            string shown = Encoding.UTF8.GetString(json[..Math.Min(json.Length, 120)]);
            record.Error ??= new RequestError(RequestErrorKind.BadResponse, "", $"{broken.Message} in: {shown}");
            return;
        }
        if (happened.Error is { } error) record.Error ??= error;
        if (happened.IsFinished) _sawEnd = true;
        if (happened.HasContent) CountTokens(happened, now);
        if (api == BenchApi.Native && happened.CompletionTokens > 0) record.OutputTokens = happened.CompletionTokens;
        if (keepText && happened.Text is { } text) KeepText(text);
    }

    /// <summary>Native: the gap is spread over the event's new tokens, and an event without new ones adds to the next gap. OpenAI: one gap an event.</summary>
    private void CountTokens(in ResponseEvent happened, TimeSpan now)
    {
        _contentEvents++;
        record.ContentAt?.Add(now);
        bool countsTokens = api == BenchApi.Native && happened.CompletionTokens >= 0;
        if (record.FirstTokenAt is null)
        {
            record.FirstTokenAt = now;
        }
        else if (countsTokens)
        {
            int fresh = happened.CompletionTokens - _countedTokens;
            if (fresh <= 0) return;
            double gap = (now - _lastTokensAt).TotalMilliseconds / fresh;
            for (int i = 0; i < fresh; i++) record.InterTokenMs.Add(gap);
        }
        else
        {
            record.InterTokenMs.Add((now - _lastTokensAt).TotalMilliseconds);
        }
        _lastTokensAt = now;
        if (countsTokens) _countedTokens = happened.CompletionTokens;
    }

    private void KeepText(string text)
    {
        // The native API repeats the whole text in each event; OpenAI's sends pieces.
        if (api == BenchApi.Native) record.GeneratedText = text;
        else (_deltas ??= new StringBuilder()).Append(text);
    }
}
