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
internal sealed class AnswerRelay(AttemptContext attempt, IClientReply reply, TwoLegs legs, DecodeClock clock, DecodeHead first, byte[] buffer)
{
    private const int MaxMergedBytes = 128 * 1024 * 1024;
    private readonly RankCheck? _ranks = attempt.Facts.Endpoint == DataEndpoint.Generate && attempt.Options.VerifyDpRank != VerifyMode.Off && attempt.Route.Decode.Rank is not null
        ? new RankCheck(attempt.Route.Decode.Rank, attempt.Route.Prefill?.Rank) : null;

    /// <param name="prefill">Only waited for when the answer cannot be finished without prefill's.</param>
    public async Task<RelayEnd> RunAsync(Task<PrefillEnd> prefill)
    {
        bool strict = attempt.Options.VerifyDpRank == VerifyMode.Fail && _ranks is not null;
        IAnswerMerge? merge = attempt.NeedsPrefillAnswer ? await MergeAsync(prefill) : null;
        if (merge is null && !strict) return await RelayRawAsync();
        return attempt.Facts.Stream ? await RelayEventsAsync(merge, strict) : await RelayEditedAsync(merge, strict);
    }

    /// <summary>Decode's first byte goes out, unless prefill failed before it.</summary>
    private bool Begin(int? length)
    {
        if (!legs.Tell(LegEvent.DecodeFirstByte).HasFlag(LegAction.Relay)) return false;
        attempt.FirstByte();
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
            await reply.WriteAsync(buffer.AsMemory(0, length), clock.ExpectClient());
            // The terminal event: the client has everything. Nothing more of the body is waited for beyond what closes it.
            if (whole || end.Seen) break;
        }
        if (!stream) return RelayEnd.Whole;
        if (!end.Seen) return RelayEnd.Truncated;
        await FinishStreamAsync();
        return RelayEnd.Whole;
    }

    private async Task FinishStreamAsync()
    {
        attempt.Route.EndDecode(LegOutcome.Success, attempt.Now);
        await reply.CompleteAsync();
        await TailReader.DrainAsync(first.Response, attempt.Time);
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
                await reply.WriteAsync(sse, clock.ExpectClient());
                if (!done) continue;
                await FinishStreamAsync();
                return RelayEnd.Whole;
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
        await reply.WriteAsync(answer, clock.ExpectClient());
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
