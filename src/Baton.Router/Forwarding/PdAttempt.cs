using System.Buffers;
using System.Diagnostics;
using System.Text.Json;
using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Trouble;

namespace Baton.Router.Forwarding;

/// <summary>One attempt: both legs sent at once, coupled by <see cref="TwoLegState"/>, decode's bytes passed on as they come.</summary>
internal sealed class PdAttempt(AttemptContext attempt, IClientReply reply)
{
    // Of a non-streaming answer so much is read before its head is sent: up to here a broken decode leg can be retried.
    private const int WholeBytes = 64 * 1024;
    private const int StreamBytes = 16 * 1024;
    private const int MaxMergedBytes = 128 * 1024 * 1024;
    // When prefill fails, decode often hears of it first (from prefill) and answers a 5xx; the cause is worth this wait.
    private static readonly TimeSpan CauseGrace = TimeSpan.FromMilliseconds(50);

    private readonly Candidate _decode = attempt.Route.Decode;
    private readonly PrefillLegRunner? _prefill = attempt.Route.Prefill is { } p ? new PrefillLegRunner(attempt, p) : null;
    private readonly RankCheck? _ranks = attempt.Facts.Endpoint == DataEndpoint.Generate && attempt.Options.VerifyDpRank != VerifyMode.Off && attempt.Route.Decode.Rank is not null
        ? new RankCheck(attempt.Route.Decode.Rank, attempt.Route.Prefill?.Rank) : null;
    private TwoLegState _state = attempt.Route.Prefill is null ? TwoLegState.Single : TwoLegState.Pair;
    private SseEnd _end;
    private LegOutcome _decodeOutcome = LegOutcome.Neutral;

    /// <summary>A leg broke an agreement that only strict checks enforce.</summary>
    private sealed class MismatchException(string message) : Exception(message);

    /// <returns>Null when the client has its whole answer (or left); otherwise why not. Retryable only while <see cref="IClientReply.HasStarted"/> is false.</returns>
    public async Task<RouterError?> RunAsync(CancellationToken clientGone)
    {
        using DecodeClock clock = new(attempt.Options, attempt.Time, clientGone, attempt.Shutdown);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(attempt.Facts.Stream ? StreamBytes : WholeBytes);
        using Activity? span = RouterTrace.Source.StartActivity("leg.decode");
        try
        {
            // Prefill's bytes first: decode's leg is worth nothing without them. Nothing is awaited in between.
            Task<PrefillEnd> prefill = _prefill?.RunAsync() ?? Task.FromResult(PrefillEnd.None);
            Task<DecodeHead> decode = StartDecodeAsync(buffer, clock, span);
            if (attempt.Attempt == 1) attempt.Metrics.LegsSent(attempt.Now - attempt.Head.ReceivedAt);
            if (_prefill is not null && await Task.WhenAny(prefill, decode) == prefill && !decode.IsCompleted)
            {
                if ((await prefill).Error is { } failed) return await FailWithPrefillAsync(failed, decode, clock);
                Apply(LegEvent.PrefillDone);
            }
            return await AnswerAsync(decode, prefill, buffer, clock, clientGone);
        }
        finally
        {
            attempt.Route.EndDecode(_decodeOutcome, attempt.Now);
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async Task<RouterError> FailWithPrefillAsync(RouterError failed, Task<DecodeHead> decode, DecodeClock clock)
    {
        Apply(LegEvent.PrefillFailed);
        clock.Cancel();
        attempt.Metrics.Cancelled("decode", "prefill_failed");
        if (attempt.Facts.RequestId is { } rid) attempt.Transport.Abort(_decode.Worker, rid);
        try
        {
            await (await decode).Response.DisposeAsync();
        }
        catch (Exception e) when (e is LegException or OperationCanceledException)
        {
            // It was cut because prefill failed: that error is the one that counts.
        }
        return failed;
    }

    private async Task<RouterError?> AnswerAsync(Task<DecodeHead> decode, Task<PrefillEnd> prefill, byte[] buffer, DecodeClock clock, CancellationToken clientGone)
    {
        try
        {
            DecodeHead first = await decode;
            await using ILegResponse response = first.Response;
            if (first.Error is { } refused) return await FailWithDecodeAsync(refused, prefill);
            Apply(LegEvent.DecodeFirstByte);
            attempt.Metrics.FirstByte(attempt.Facts.Endpoint.Path, attempt.Now - attempt.Head.ReceivedAt);
            WatchLatePrefill(prefill);
            await RelayAsync(first, prefill, buffer, clock);
            Apply(LegEvent.DecodeDone);
            _decodeOutcome = LegOutcome.Success;
            return null;
        }
        catch (OperationCanceledException) when (clientGone.IsCancellationRequested)
        {
            Apply(LegEvent.ClientGone);
            _prefill?.Cancel("client_gone");
            attempt.Metrics.Cancelled("decode", "client_gone");
            return null;
        }
        catch (LegException e)
        {
            return await FailWithDecodeAsync(FailureMapping.FromTransport(FailureMapping.LegOf(_decode.Worker.Role), _decode.Worker.Url, e), prefill);
        }
        catch (MismatchException e)
        {
            attempt.Metrics.RankMismatches.Add(1);
            return await FailWithDecodeAsync(new RouterError(500, "dp_rank_mismatch", $"The worker {_decode.Worker.Url} answered from another rank: {e.Message}.") { Leg = ErrorLeg.Decode }, prefill);
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidDataException)
        {
            return await FailWithDecodeAsync(clock.Explain(_decode.Worker.Url, e, reply.HasStarted), prefill);
        }
    }

    private async Task<RouterError> FailWithDecodeAsync(RouterError error, Task<PrefillEnd> prefill)
    {
        bool began = reply.HasStarted;
        if (!began && error.Status >= 500 && _prefill is not null && await CauseAsync(prefill) is { } cause)
        {
            Apply(LegEvent.PrefillFailed);
            return cause;
        }
        Apply(LegEvent.DecodeFailed);
        _decodeOutcome = error.IsWorkerFault ? LegOutcome.Failure : LegOutcome.Neutral;
        attempt.Metrics.WorkerError(_decode.Worker.Url, error.Code);
        _prefill?.Cancel("decode_failed");
        error = attempt.Blame(error) with { IsRetryable = error.IsRetryable && !began };
        if (began) await CutAsync(error);
        return error;
    }

    private async Task<RouterError?> CauseAsync(Task<PrefillEnd> prefill)
    {
        try
        {
            return (await prefill.WaitAsync(CauseGrace, attempt.Time)).Error;
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    private readonly record struct DecodeHead(ILegResponse Response, RouterError? Error, int Length);

    private async Task<DecodeHead> StartDecodeAsync(byte[] buffer, DecodeClock clock, Activity? span)
    {
        LegBody body = LegBody.Write(attempt.Body, attempt.Edits, attempt.Pairing, _decode.Rank, attempt.Route.Prefill?.Rank);
        clock.ExpectFirstByte();
        ILegResponse response = await attempt.Transport.SendAsync(attempt.Leg(_decode.Worker, body, span), clock.Token);
        try
        {
            bool ok = response.StatusCode is >= 200 and <= 299;
            int length = ok && attempt.Facts.Stream ? await response.ReadAsync(buffer, clock.Token) : await response.FillAsync(buffer, clock.Token);
            RouterError? error = ok ? null : FailureMapping.FromStatus(
                FailureMapping.LegOf(_decode.Worker.Role), _decode.Worker.Url, response.StatusCode, buffer.AsSpan(0, length), response.RetryAfter);
            return new DecodeHead(response, error, length);
        }
        catch
        {
            await response.DisposeAsync();
            throw;
        }
    }

    private async Task RelayAsync(DecodeHead first, Task<PrefillEnd> prefill, byte[] buffer, DecodeClock clock)
    {
        bool strict = attempt.Options.VerifyDpRank == VerifyMode.Fail && _ranks is not null;
        LogprobMerge? merge = attempt.NeedsPrefillAnswer ? await MergeAsync(prefill, clock) : null;
        if (merge is null && !strict) await RelayRawAsync(first, buffer, clock);
        else if (attempt.Facts.Stream) await RelayEventsAsync(first, buffer, merge, strict, clock);
        else await RelayEditedAsync(first, buffer, merge, strict, clock);
    }

    /// <summary>Passes bytes on as they come; memory is one buffer, and a slow client leaves decode's socket unread.</summary>
    private async Task RelayRawAsync(DecodeHead first, byte[] buffer, DecodeClock clock)
    {
        bool whole = !attempt.Facts.Stream && first.Length < buffer.Length;
        if (_ranks?.Mismatch(buffer.AsSpan(0, first.Length)) is { } wrong) WarnOfRank(wrong);
        reply.Start(first.Response.StatusCode, AnswerHeaders.Of(attempt, first.Response, whole ? first.Length : null));
        int length = first.Length;
        while (length > 0)
        {
            if (attempt.Facts.Stream) _end.Look(buffer.AsSpan(0, length));
            await reply.WriteAsync(buffer.AsMemory(0, length), clock.ExpectProgress());
            // The terminal event: the client has everything. Nothing more of the body is waited for beyond what closes it.
            if (whole || _end.Seen) break;
            length = await first.Response.ReadAsync(buffer, clock.ExpectProgress());
        }
        if (!attempt.Facts.Stream) return;
        if (_end.Seen) await FinishStreamAsync(first.Response);
        else attempt.Metrics.Truncated.Add(1);
    }

    private async Task FinishStreamAsync(ILegResponse response)
    {
        attempt.Route.EndDecode(LegOutcome.Success, attempt.Now);
        await reply.CompleteAsync();
        await TailReader.DrainAsync(response, attempt.Time);
    }

    /// <summary>Takes the stream apart into events, edits those that need it, and passes each on.</summary>
    private async Task RelayEventsAsync(DecodeHead first, byte[] buffer, LogprobMerge? merge, bool strict, DecodeClock clock)
    {
        SseSplitter events = new();
        int length = first.Length;
        bool done = false;
        while (length > 0 && !done)
        {
            events.Add(buffer.AsSpan(0, length));
            while (events.TryTake(out ReadOnlyMemory<byte> sse))
            {
                done = SseSplitter.IsDone(sse);
                ReadOnlyMemory<byte> data = SseSplitter.Data(sse);
                if (strict && _ranks!.Mismatch(data.Span) is { } wrong) throw new MismatchException(wrong);
                if (strict && done && !_ranks!.SawDecodeRank) throw new MismatchException("no event names dp_rank");
                if (!reply.HasStarted) reply.Start(first.Response.StatusCode, AnswerHeaders.Of(attempt, first.Response, null));
                if (merge is not null && !done && data.Length > 0) sse = (byte[])[.. "data: "u8, .. Merge(merge, data.Span), .. "\n\n"u8];
                await reply.WriteAsync(sse, clock.ExpectProgress());
            }
            if (!done) length = await first.Response.ReadAsync(buffer, clock.ExpectProgress());
        }
        if (done) await FinishStreamAsync(first.Response);
        else attempt.Metrics.Truncated.Add(1);
        if (!reply.HasStarted) reply.Start(first.Response.StatusCode, AnswerHeaders.Of(attempt, first.Response, 0));
    }

    private async Task RelayEditedAsync(DecodeHead first, byte[] buffer, LogprobMerge? merge, bool strict, DecodeClock clock)
    {
        ArrayBufferWriter<byte> whole = new(Math.Max(256, first.Length));
        for (int length = first.Length; length > 0; length = await first.Response.ReadAsync(buffer, clock.ExpectProgress()))
        {
            if (whole.WrittenCount + length > MaxMergedBytes) throw new InvalidDataException($"The answer is longer than {MaxMergedBytes} bytes and cannot be merged.");
            whole.Write(buffer.AsSpan(0, length));
        }
        if (_ranks?.Mismatch(whole.WrittenSpan) is { } wrong)
        {
            if (strict) throw new MismatchException(wrong);
            WarnOfRank(wrong);
        }
        if (strict && !_ranks!.SawDecodeRank) throw new MismatchException("meta_info names no dp_rank");
        ReadOnlyMemory<byte> answer = merge is null ? whole.WrittenMemory : Merge(merge, whole.WrittenSpan);
        reply.Start(first.Response.StatusCode, AnswerHeaders.Of(attempt, first.Response, answer.Length));
        await reply.WriteAsync(answer, clock.ExpectProgress());
    }

    private async Task<LogprobMerge?> MergeAsync(Task<PrefillEnd> prefill, DecodeClock clock)
    {
        try
        {
            if ((await prefill.WaitAsync(clock.Token)).Answer is { } answer) return LogprobMerge.FromPrefill(answer, attempt.Facts.Stream);
        }
        catch (JsonException)
        {
            // Counted below: an answer that cannot be merged is passed on as decode gave it.
        }
        attempt.Metrics.MergeFailures.Add(1);
        return null;
    }

    private byte[] Merge(LogprobMerge merge, ReadOnlySpan<byte> answer)
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
        attempt.Logger.RankMismatch(attempt.Head.RequestId, _decode.Worker.Url, what);
    }

    private async Task CutAsync(RouterError error)
    {
        if (attempt.Facts.Stream) await reply.WriteAsync((byte[])[.. "data: "u8, .. error.ToJson(), .. "\n\ndata: [DONE]\n\n"u8], CancellationToken.None);
        else reply.Abort();
    }

    /// <summary>After decode's first byte a prefill failure is counted and nothing else.</summary>
    private void WatchLatePrefill(Task<PrefillEnd> prefill)
    {
        if (attempt.Route.Prefill is not { } candidate || prefill.IsCompletedSuccessfully && prefill.Result.Error is null) return;
        _ = WatchAsync();

        async Task WatchAsync()
        {
            if ((await prefill).Error is not { } late || _decodeOutcome == LegOutcome.Failure || late.Code == "prefill_timeout") return;
            attempt.Metrics.LatePrefillFailures.Add(1);
            attempt.Logger.LatePrefillFailure(candidate.Worker.Url, late.Message);
        }
    }

    private void Apply(LegEvent what) => (_state, _) = _state.On(what);
}
