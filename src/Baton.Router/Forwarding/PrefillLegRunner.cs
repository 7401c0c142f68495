using System.Buffers;
using System.Diagnostics;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Trouble;

namespace Baton.Router.Forwarding;

/// <summary>How a prefill leg ended.</summary>
/// <param name="Error">Null when it answered 2xx and was read to its end.</param>
/// <param name="Answer">Its whole body when the caller asked for it and it was not too long, else null.</param>
internal sealed record PrefillEnd(RouterError? Error, byte[]? Answer)
{
    public static readonly PrefillEnd None = new(null, null);
}

/// <summary>Runs the prefill leg of one attempt to its end, also when the client no longer waits for it.</summary>
internal sealed class PrefillLegRunner(AttemptContext attempt, Candidate prefill)
{
    // A prefill answer with log probabilities of a long prompt; what is longer goes unmerged.
    private const int MaxCapturedBytes = 64 * 1024 * 1024;
    private const int ReadBytes = 16 * 1024;
    private Action? _cut;
    private string? _cutBecause;

    /// <summary>Ends the leg if its worker can bear it; otherwise leaves it to finish by itself.</summary>
    /// <remarks>Cutting a prefill in mid-transfer can orphan KV blocks on workers that do not say <c>pd_cancel_anytime</c>.</remarks>
    public void Cancel(string why)
    {
        if (!prefill.Worker.Info.CancelAnytime) return;
        _cutBecause = why;
        try
        {
            _cut?.Invoke();
        }
        catch (ObjectDisposedException)
        {
            // The leg ended by itself between the look and the call.
        }
    }

    /// <summary>Sends the leg at once and reads its answer. Never throws for what the worker does.</summary>
    public async Task<PrefillEnd> RunAsync()
    {
        using Activity? span = attempt.StartSpan("leg.prefill");
        using CancellationTokenSource limit = new(Timeout.InfiniteTimeSpan, attempt.Time);
        _cut = limit.Cancel;
        TimeSpan sent = attempt.Now;
        Task<PrefillEnd> sending = SendAsync(span, limit.Token);
        limit.CancelAfter(attempt.Options.RequestTimeout);
        PrefillEnd end = await sending;
        LegOutcome outcome = end.Error is null ? LegOutcome.Success : end.Error.IsWorkerFault ? LegOutcome.Failure : LegOutcome.Neutral;
        if (end.Error is null) attempt.Metrics.PrefillDone(attempt.Tags, attempt.Route, attempt.Now - sent);
        else if (_cutBecause is not null) attempt.Metrics.Cancelled("prefill", _cutBecause);
        else attempt.Metrics.LegFailed(attempt.Tags, attempt.Route, end.Error);
        span?.SetTag("error", end.Error?.Code);
        span?.Stop();
        // Last: whoever sees the credit back finds the leg in every count and trace.
        attempt.Route.EndPrefill(outcome, attempt.Now);
        return end;
    }

    private async Task<PrefillEnd> SendAsync(Activity? span, CancellationToken ct)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
        try
        {
            LegBody body = LegBody.Write(attempt.Body, attempt.Edits, attempt.Pairing, prefill.IsImplied ? null : prefill.Rank, null, attempt.Options.DpField);
            await using ILegResponse response = await attempt.Transport.SendAsync(attempt.Leg(prefill.Worker, body, span), ct);
            int length = await response.FillAsync(buffer, ct);
            ReadOnlySpan<byte> first = buffer.AsSpan(0, length);
            if (response.StatusCode is < 200 or > 299)
                return new PrefillEnd(attempt.Blame(FailureMapping.FromStatus(ErrorLeg.Prefill, prefill.Worker.Url, response.StatusCode, first, response.RetryAfter)), null);
            if (SoftAbort.Find(first, attempt.Facts.Stream) is { } aborted)
            {
                attempt.Metrics.SoftAborts.Add(1);
                return new PrefillEnd(attempt.Blame(new RouterError(502, "prefill_aborted", $"The prefill worker {prefill.Worker.Url} aborted the request: {aborted}")
                { Leg = ErrorLeg.Prefill, Worker = prefill.Worker.Url, IsRetryable = true }), null);
            }
            return new PrefillEnd(null, await DrainAsync(response, buffer, length, ct));
        }
        catch (LegException e)
        {
            return new PrefillEnd(attempt.Blame(FailureMapping.FromTransport(ErrorLeg.Prefill, prefill.Worker.Url, e)), null);
        }
        catch (OperationCanceledException)
        {
            return new PrefillEnd(attempt.Blame(new RouterError(504, "prefill_timeout",
                $"The prefill worker {prefill.Worker.Url} {(_cutBecause is null ? $"did not finish within {attempt.Options.RequestTimeout.TotalSeconds} s" : "was cut: " + _cutBecause)}.")
            { Leg = ErrorLeg.Prefill, Worker = prefill.Worker.Url, IsWorkerFault = _cutBecause is null }), null);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Reads to the end: an unread body would hold the connection, and on SGLang the request.</summary>
    private async ValueTask<byte[]?> DrainAsync(ILegResponse response, byte[] buffer, int length, CancellationToken ct)
    {
        ArrayBufferWriter<byte>? kept = attempt.NeedsPrefillAnswer ? new ArrayBufferWriter<byte>(Math.Max(length, 256)) : null;
        // The first fill ends short of the buffer only at the body's end.
        for (bool more = length == buffer.Length; ; more = length > 0)
        {
            kept?.Write(buffer.AsSpan(0, length));
            if (kept?.WrittenCount > MaxCapturedBytes) kept = null;
            if (!more) return kept?.WrittenSpan.ToArray();
            length = await response.ReadAsync(buffer, ct);
        }
    }
}
