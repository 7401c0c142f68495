using System.Buffers;
using System.Diagnostics;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Trouble;

namespace Baton.Router.Forwarding;

/// <summary>One attempt: both legs sent at once. What the end of one means for the other is decided by <see cref="TwoLegState"/> alone.</summary>
internal sealed class PdAttempt(AttemptContext attempt, IClientReply reply)
{
    // Of a non-streaming answer so much is read before its head is sent: up to here a broken decode leg can be retried.
    private const int WholeBytes = 64 * 1024;
    private const int StreamBytes = 16 * 1024;
    // When prefill fails, decode often hears of it first (from prefill) and answers a 5xx; the cause is worth this wait.
    private static readonly TimeSpan CauseGrace = TimeSpan.FromMilliseconds(50);

    private readonly Candidate _decode = attempt.Route.Decode;
    private readonly PrefillLegRunner? _prefill = attempt.Route.Prefill is { } p ? new PrefillLegRunner(attempt, p) : null;
    private readonly TwoLegs _legs = new(attempt.Route.Prefill is null ? TwoLegState.Single : TwoLegState.Pair);
    private LegOutcome _decodeOutcome = LegOutcome.Neutral;

    /// <returns>Null when the client has its whole answer (or left); otherwise why not. Retryable only while no byte went to the client.</returns>
    public async Task<RouterError?> RunAsync(CancellationToken clientGone)
    {
        TimeSpan began = attempt.Now;
        using DecodeClock clock = new(attempt.Options, attempt.Time, clientGone, attempt.Shutdown);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(attempt.Facts.Stream ? StreamBytes : WholeBytes);
        using Activity? span = attempt.StartSpan("leg.decode");
        try
        {
            // Prefill's bytes first: decode's leg is worth nothing without them. Nothing is awaited in between.
            Task<PrefillEnd> prefill = _prefill?.RunAsync() ?? Task.FromResult(PrefillEnd.None);
            Task<DecodeHead> decode = StartDecodeAsync(buffer, clock, span);
            clock.ExpectFirstByte();
            TimeSpan sent = attempt.Now;
            attempt.Metrics.Stage("send", sent - began);
            if (attempt.Attempt == 1) attempt.Metrics.LegsSent(sent - attempt.Head.ReceivedAt);
            return await AnswerAsync(sent, decode, prefill, FollowPrefillAsync(prefill, clock), buffer, clock, clientGone);
        }
        finally
        {
            attempt.Route.EndDecode(_decodeOutcome, attempt.Now);
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Reports prefill's end as soon as it is there, whatever decode is doing, and does what that means for decode.</summary>
    private async Task FollowPrefillAsync(Task<PrefillEnd> prefill, DecodeClock clock)
    {
        if (_prefill is null) return;
        RouterError? failed = (await prefill).Error;
        LegAction action = _legs.Tell(failed is null ? LegEvent.PrefillDone : LegEvent.PrefillFailed);
        if (action.HasFlag(LegAction.CancelDecode))
        {
            clock.Cancel();
            attempt.Metrics.Cancelled("decode", "prefill_failed");
            if (attempt.Facts.RequestId is { } rid) attempt.Transport.Abort(_decode.Worker, rid);
        }
        if (!action.HasFlag(LegAction.NoteLatePrefill)) return;
        attempt.Metrics.LatePrefillFailures.Add(1);
        attempt.Logger.LatePrefillFailure(failed!.Worker ?? "", failed.Message);
    }

    private async Task<RouterError?> AnswerAsync(
        TimeSpan sent, Task<DecodeHead> decode, Task<PrefillEnd> prefill, Task followed, byte[] buffer, DecodeClock clock, CancellationToken clientGone)
    {
        try
        {
            DecodeHead first = await decode;
            await using ILegResponse response = first.Response;
            if (first.Error is { } refused) return await FailAsync(LegEvent.DecodeFailed, refused, prefill, followed);
            AnswerRelay relay = new(attempt, reply, _legs, clock, first, buffer, sent);
            switch (await relay.RunAsync(prefill))
            {
                case RelayEnd.Truncated:
                    attempt.Metrics.Truncated.Add(1);
                    return await FailAsync(LegEvent.DecodeTruncated, Truncated(), prefill, followed);
                case RelayEnd.NotBegun:
                    return await PrefillsErrorAsync(prefill, followed);
            }
            _legs.Tell(LegEvent.DecodeDone);
            _decodeOutcome = LegOutcome.Success;
            return null;
        }
        catch (OperationCanceledException) when (clientGone.IsCancellationRequested)
        {
            // Decode's connection is closed by the clock, which ends with the client.
            LegAction action = _legs.Tell(LegEvent.ClientGone);
            if (action.HasFlag(LegAction.CancelPrefill)) _prefill?.Cancel("client_gone");
            if (action.HasFlag(LegAction.CancelDecode)) attempt.Metrics.Cancelled("decode", "client_gone");
            return null;
        }
        catch (LegException e)
        {
            return await FailAsync(LegEvent.DecodeFailed, FailureMapping.FromTransport(FailureMapping.LegOf(_decode.Worker.Role), _decode.Worker.Url, e), prefill, followed);
        }
        catch (RankMismatchException e)
        {
            attempt.Metrics.RankMismatches.Add(1);
            return await FailAsync(LegEvent.DecodeFailed,
                new RouterError(500, "dp_rank_mismatch", $"The worker {_decode.Worker.Url} answered from another rank: {e.Message}.") { Leg = ErrorLeg.Decode }, prefill, followed);
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidDataException)
        {
            return await FailAsync(LegEvent.DecodeFailed, clock.Explain(_decode.Worker.Url, e, reply.HasStarted), prefill, followed);
        }
    }

    /// <summary>Decode is over without an answer: the table says whether the client gets this error, prefill's, or an end of what it has.</summary>
    private async Task<RouterError> FailAsync(LegEvent how, RouterError error, Task<PrefillEnd> prefill, Task followed)
    {
        if (!reply.HasStarted && error.Status >= 500) await GraceAsync(followed);
        LegAction action = _legs.Tell(how);
        if (action == LegAction.None) return await PrefillsErrorAsync(prefill, followed);

        _decodeOutcome = error.IsWorkerFault ? LegOutcome.Failure : LegOutcome.Neutral;
        attempt.Metrics.LegFailed(attempt.Tags, attempt.Route, error with { Worker = _decode.Worker.Url });
        if (action.HasFlag(LegAction.CancelPrefill)) _prefill?.Cancel("decode_failed");
        error = attempt.Blame(error) with { IsRetryable = error.IsRetryable && action.HasFlag(LegAction.FailWithDecode) };
        if (action.HasFlag(LegAction.CutStream)) await CutAsync(error);
        return error;
    }

    // Whoever follows prefill still holds the clock: it has to be through before the attempt ends.
    private static async Task<RouterError> PrefillsErrorAsync(Task<PrefillEnd> prefill, Task followed)
    {
        await followed;
        return (await prefill).Error ?? throw new UnreachableException("Decode was told that prefill failed, and prefill did not fail.");
    }

    private async Task GraceAsync(Task followed)
    {
        try
        {
            await followed.WaitAsync(CauseGrace, attempt.Time);
        }
        catch (TimeoutException)
        {
            // Prefill has nothing to say: decode's own error it is.
        }
    }

    private async Task<DecodeHead> StartDecodeAsync(byte[] buffer, DecodeClock clock, Activity? span)
    {
        LegBody body = LegBody.Write(attempt.Body, attempt.Edits, attempt.Pairing, _decode.Rank, attempt.Route.Prefill?.Rank, attempt.Options.DpField);
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

    private async Task CutAsync(RouterError error)
    {
        // Nothing went out yet: the error takes the answer's place.
        if (!reply.HasStarted) return;
        if (!attempt.Facts.Stream)
        {
            reply.Abort();
            return;
        }
        if (reply.TellsEnd) return;
        using CancellationTokenSource patience = new(attempt.Options.StallTimeout, attempt.Time);
        try
        {
            await reply.WriteAsync((byte[])[.. "data: "u8, .. error.ToJson(), .. "\n\ndata: [DONE]\n\n"u8], patience.Token);
        }
        catch (OperationCanceledException)
        {
            // The client does not listen.
        }
    }

    private RouterError Truncated() => new(502, "stream_truncated", $"The worker {_decode.Worker.Url} ended its stream without the terminal event.")
    {
        Leg = FailureMapping.LegOf(_decode.Worker.Role),
        Worker = _decode.Worker.Url,
        IsRetryable = true,
        IsWorkerFault = true,
    };
}

/// <summary>What is known of decode when its first bytes are there.</summary>
/// <param name="Response">To be read on; owned by the attempt.</param>
/// <param name="Error">Set when it answered something other than 2xx.</param>
/// <param name="Length">Bytes of the body already in the attempt's buffer.</param>
internal readonly record struct DecodeHead(ILegResponse Response, RouterError? Error, int Length);
