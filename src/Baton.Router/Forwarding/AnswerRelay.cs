using System.Buffers;
using System.Text.Json;
using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Trouble;

namespace Baton.Router.Forwarding;

/// <summary>How the passing on of decode's answer ended.</summary>
internal enum RelayEnd
{
    Whole,
    /// <summary>A stream that ended without its terminal event; perhaps before its first byte.</summary>
    Truncated,
    /// <summary>Prefill failed before anything went out: the answer is its error.</summary>
    NotBegun,
}

/// <summary>An answer broke an agreement on ranks that only strict checks enforce.</summary>
internal sealed class RankMismatchException(string message) : Exception(message);

/// <summary>Passes decode's answer on: raw where it can, event by event or as a whole where something has to be merged or checked.</summary>
internal sealed class AnswerRelay(AttemptContext attempt, IClientReply reply, TwoLegs legs, DecodeClock clock, DecodeHead first, byte[] buffer, TimeSpan sent)
{
    private const int MaxMergedBytes = 128 * 1024 * 1024;
    private readonly UsageScan _usage = new(attempt.Facts.Stream, attempt.Facts.IsBatch);
    private TimeSpan _began;
    private bool _isNoted;
    private readonly RankCheck? _ranks = attempt.Facts.Endpoint == DataEndpoint.Generate && attempt.Options.VerifyDpRank != VerifyMode.Off && attempt.Route.Decode.Rank is not null
        ? new RankCheck(attempt.Route.Decode.Rank, attempt.Route.Prefill?.Rank) : null;

    /// <param name="prefill">Only waited for when the answer cannot be finished without prefill's.</param>
    public async Task<RelayEnd> RunAsync(Task<PrefillEnd> prefill)
    {
        bool strict = attempt.Options.VerifyDpRank == VerifyMode.Fail && _ranks is not null;
        IAnswerMerge? merge = attempt.NeedsPrefillAnswer ? await MergeAsync(prefill) : null;
        RelayEnd end = merge is null && !strict ? await RelayRawAsync()
            : attempt.Facts.Stream ? await RelayEventsAsync(merge, strict) : await RelayEditedAsync(merge, strict);
        if (end != RelayEnd.NotBegun) CountTokens();
        return end;
    }

    private void CountTokens()
    {
        TimeSpan took = attempt.Now - _began;
        attempt.Metrics.Stage("relay", took);
        attempt.Metrics.Tokens(attempt.Tags, _usage.Prompt, _usage.Completion);
        // The tokens of a batch come side by side: time per token is a matter of one sequence.
        if (attempt.Facts is { Stream: true, IsBatch: false } && _usage.Completion > 1) attempt.Metrics.TimePerToken(attempt.Tags, took / (_usage.Completion - 1));
    }

    /// <summary>Decode's first byte goes out, unless prefill failed before it.</summary>
    private bool Begin(int? length)
    {
        if (!legs.Tell(LegEvent.DecodeFirstByte).HasFlag(LegAction.Relay)) return false;
        _began = attempt.Now;
        attempt.Route.EndPrompt(_began);
        reply.Start(first.Response.StatusCode, AnswerHeaders.Of(attempt, first.Response, length));
        return true;
    }

    /// <summary>Passes bytes on as they come; memory is one buffer, and a slow client leaves decode's socket unread.</summary>
    private async Task<RelayEnd> RelayRawAsync()
    {
        bool stream = attempt.Facts.Stream;
        bool whole = !stream && first.Length < buffer.Length;
        if (stream && first.Length == 0) return RelayEnd.Truncated;
        if (_ranks?.Mismatch(buffer.AsSpan(0, first.Length)) is { } wrong) WarnOfRank(wrong);
        if (!Begin(whole ? first.Length : null)) return RelayEnd.NotBegun;
        SseEnd end = default;
        for (int length = first.Length; length > 0; length = await first.Response.ReadAsync(buffer, clock.ExpectProgress()))
        {
            if (stream) end.Look(buffer.AsSpan(0, length));
            // The terminal event: the client has everything. Nothing more of the body is waited for beyond what closes it.
            await PassOnAsync(buffer.AsMemory(0, length), isEnd: end.Seen, isLast: whole || end.Seen);
            if (whole || end.Seen) return RelayEnd.Whole;
        }
        return stream ? RelayEnd.Truncated : RelayEnd.Whole;
    }

    private async ValueTask PassOnAsync(ReadOnlyMemory<byte> bytes, bool isEnd, bool isLast)
    {
        if (isEnd) attempt.Route.EndDecode(LegOutcome.Success, attempt.Now);
        if (isEnd) await reply.FinishAsync(bytes, clock.ExpectClient());
        else await reply.WriteAsync(bytes, clock.ExpectClient());
        // The client has its bytes: what is noted here costs it nothing.
        if (!_isNoted) attempt.NoteFirstByte(sent, _began);
        _isNoted = true;
        _usage.Look(bytes.Span, isLast);
        if (isEnd) await TailReader.DrainAsync(first.Response, attempt.Time);
    }

    /// <summary>Takes the stream apart into events, edits those that need it, and passes each on.</summary>
    private async Task<RelayEnd> RelayEventsAsync(IAnswerMerge? merge, bool strict)
    {
        SseSplitter events = new();
        bool begun = false;
        for (int length = first.Length; length > 0; length = await first.Response.ReadAsync(buffer, clock.ExpectProgress()))
        {
            events.Add(buffer.AsSpan(0, length));
            while (events.TryTake(out ReadOnlyMemory<byte> sse))
            {
                bool done = SseSplitter.IsDone(sse);
                ReadOnlyMemory<byte> data = SseSplitter.Data(sse);
                if (strict && _ranks!.Mismatch(data.Span) is { } wrong) throw new RankMismatchException(wrong);
                if (strict && done && !_ranks!.SawDecodeRank) throw new RankMismatchException("no event names dp_rank");
                if (!begun && !Begin(null)) return RelayEnd.NotBegun;
                begun = true;
                if (merge is not null && !done && data.Length > 0) sse = (byte[])[.. "data: "u8, .. Merge(merge, data.Span), .. "\n\n"u8];
                await PassOnAsync(sse, isEnd: done, isLast: done);
                if (done) return RelayEnd.Whole;
            }
        }
        return RelayEnd.Truncated;
    }

    private async Task<RelayEnd> RelayEditedAsync(IAnswerMerge? merge, bool strict)
    {
        ArrayBufferWriter<byte> whole = new(Math.Max(256, first.Length));
        for (int length = first.Length; length > 0; length = await first.Response.ReadAsync(buffer, clock.ExpectProgress()))
        {
            if (whole.WrittenCount + length > MaxMergedBytes) throw new InvalidDataException($"The answer is longer than {MaxMergedBytes} bytes and cannot be merged.");
            whole.Write(buffer.AsSpan(0, length));
        }
        if (_ranks?.Mismatch(whole.WrittenSpan) is { } wrong)
        {
            if (strict) throw new RankMismatchException(wrong);
            WarnOfRank(wrong);
        }
        if (strict && !_ranks!.SawDecodeRank) throw new RankMismatchException("meta_info names no dp_rank");
        ReadOnlyMemory<byte> answer = merge is null ? whole.WrittenMemory : Merge(merge, whole.WrittenSpan);
        if (!Begin(answer.Length)) return RelayEnd.NotBegun;
        await PassOnAsync(answer, isEnd: false, isLast: true);
        return RelayEnd.Whole;
    }

    private async Task<IAnswerMerge?> MergeAsync(Task<PrefillEnd> prefill)
    {
        try
        {
            if ((await prefill.WaitAsync(clock.Token)).Answer is { } answer)
                return attempt.Facts.Endpoint == DataEndpoint.Generate ? LogprobMerge.FromPrefill(answer, attempt.Facts.Stream) : EchoMerge.FromPrefill(answer, attempt.Facts.Stream);
        }
        catch (JsonException)
        {
            // Counted below: an answer that cannot be merged is passed on as decode gave it.
        }
        attempt.Metrics.MergeFailures.Add(1);
        return null;
    }

    private byte[] Merge(IAnswerMerge merge, ReadOnlySpan<byte> answer)
    {
        try
        {
            return merge.Apply(answer);
        }
        catch (JsonException)
        {
            attempt.Metrics.MergeFailures.Add(1);
            return answer.ToArray();
        }
    }

    private void WarnOfRank(string what)
    {
        attempt.Metrics.RankMismatches.Add(1);
        attempt.Logger.RankMismatch(attempt.Head.RequestId, attempt.Route.Decode.Worker.Url, what);
    }
}
