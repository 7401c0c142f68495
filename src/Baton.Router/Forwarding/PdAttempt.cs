using System.Buffers;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Workers;

namespace Baton.Router.Forwarding;

/// <summary>One attempt: both legs sent at once, coupled by <see cref="TwoLegState"/>, decode's bytes passed on as they come.</summary>
internal sealed class PdAttempt(
    PdForwarder owner, ILegTransport transport, RouterOptions options, TimeProvider time,
    Route route, ClientBody body, BodyEdits? edits, RequestHead head, IClientReply reply)
{
    private const int ReadBytes = 16 * 1024;
    private TwoLegState _state = route.Prefill is null ? TwoLegState.Single : TwoLegState.Pair;

    /// <returns>Null when the client has its whole answer (or left); otherwise why not. Retryable only while <see cref="IClientReply.HasStarted"/> is false.</returns>
    public async Task<RouterError?> RunAsync(CancellationToken clientGone)
    {
        using CancellationTokenSource total = new(options.RequestTimeout, time);
        using CancellationTokenSource decodeEnd = CancellationTokenSource.CreateLinkedTokenSource(clientGone, total.Token);
        CancellationTokenSource prefillEnd = new(options.RequestTimeout, time);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
        try
        {
            // Prefill's bytes first: decode's leg is worth nothing without them. Nothing is awaited in between.
            Task<RouterError?> prefill = RunPrefillAsync(prefillEnd);
            Task<DecodeHead> decode = StartDecodeAsync(buffer, decodeEnd.Token);
            if (await Task.WhenAny(prefill, decode) == prefill && !decode.IsCompleted)
            {
                if (await prefill is { } failed)
                {
                    Apply(LegEvent.PrefillFailed);
                    await decodeEnd.CancelAsync();
                    await DropAsync(decode);
                    return failed;
                }
                Apply(LegEvent.PrefillDone);
            }
            return await AnswerAsync(decode, prefill, prefillEnd, buffer, decodeEnd, clientGone);
        }
        finally
        {
            route.ReturnDecode();
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async Task<RouterError?> AnswerAsync(
        Task<DecodeHead> decode, Task<RouterError?> prefill, CancellationTokenSource prefillEnd, byte[] buffer,
        CancellationTokenSource decodeEnd, CancellationToken clientGone)
    {
        Worker worker = route.Decode.Worker;
        try
        {
            DecodeHead first = await decode;
            await using ILegResponse response = first.Response;
            if (first.Error is { } refused)
            {
                if (Apply(LegEvent.DecodeFailed).HasFlag(LegAction.CancelPrefill)) CancelPrefill(prefillEnd);
                return refused;
            }
            Apply(LegEvent.DecodeFirstByte);
            WatchLatePrefill(prefill);
            await RelayAsync(first, buffer, decodeEnd);
            Apply(LegEvent.DecodeDone);
            return null;
        }
        catch (OperationCanceledException) when (clientGone.IsCancellationRequested)
        {
            if (Apply(LegEvent.ClientGone).HasFlag(LegAction.CancelPrefill)) CancelPrefill(prefillEnd);
            return null;
        }
        catch (Exception e) when (e is LegException or OperationCanceledException)
        {
            bool began = reply.HasStarted;
            if (Apply(LegEvent.DecodeFailed).HasFlag(LegAction.CancelPrefill)) CancelPrefill(prefillEnd);
            RouterError error = e is LegException
                ? FailureMapping.FromTransport(FailureMapping.LegOf(worker.Role), worker.Url, e) with { Room = route.FirstRoom }
                : new RouterError(504, began ? "stream_stalled" : "first_token_timeout", $"The worker {worker.Url} sent nothing for too long.") { Room = route.FirstRoom, IsRetryable = !began };
            if (began) await CutAsync(error);
            return error;
        }
    }

    /// <summary>Sends the prefill leg and reads its answer to the end. Returns why it failed, or null.</summary>
    private async Task<RouterError?> RunPrefillAsync(CancellationTokenSource end)
    {
        if (route.Prefill is not { } prefill)
        {
            end.Dispose();
            return null;
        }
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
        try
        {
            LegBody leg = LegBody.Write(body, edits, Pairing(prefill.Worker), prefill.Rank, null);
            await using ILegResponse response = await transport.SendAsync(new LegRequest(prefill.Worker, body.Facts.Endpoint.Path, leg, Headers(prefill.Worker)), end.Token);
            int length = await FillAsync(response, buffer, end.Token);
            if (response.StatusCode is < 200 or > 299)
                return FailureMapping.FromStatus(ErrorLeg.Prefill, prefill.Worker.Url, response.StatusCode, buffer.AsSpan(0, length)) with { Room = route.FirstRoom };
            // Drain: an unread body would hold the connection, and on SGLang the request.
            while (length > 0 && await response.ReadAsync(buffer, end.Token) > 0) { }
            return null;
        }
        catch (LegException e)
        {
            return FailureMapping.FromTransport(ErrorLeg.Prefill, prefill.Worker.Url, e) with { Room = route.FirstRoom };
        }
        catch (OperationCanceledException)
        {
            return new RouterError(504, "prefill_timeout", $"The prefill worker {prefill.Worker.Url} did not finish in time.") { Leg = ErrorLeg.Prefill, Room = route.FirstRoom };
        }
        finally
        {
            route.ReturnPrefill();
            ArrayPool<byte>.Shared.Return(buffer);
            end.Dispose();
        }
    }

    private readonly record struct DecodeHead(ILegResponse Response, RouterError? Error, int Length);

    private async Task<DecodeHead> StartDecodeAsync(byte[] buffer, CancellationToken ct)
    {
        Candidate decode = route.Decode;
        LegBody leg = LegBody.Write(body, edits, route.Prefill is { } p ? Pairing(p.Worker) : null, decode.Rank, route.Prefill?.Rank);
        ILegResponse response = await transport.SendAsync(new LegRequest(decode.Worker, body.Facts.Endpoint.Path, leg, Headers(decode.Worker)), ct);
        try
        {
            bool ok = response.StatusCode is >= 200 and <= 299;
            int length = ok && body.Facts.Stream ? await response.ReadAsync(buffer, ct) : await FillAsync(response, buffer, ct);
            RouterError? error = ok ? null
                : FailureMapping.FromStatus(FailureMapping.LegOf(decode.Worker.Role), decode.Worker.Url, response.StatusCode, buffer.AsSpan(0, length)) with { Room = route.FirstRoom };
            return new DecodeHead(response, error, length);
        }
        catch
        {
            await response.DisposeAsync();
            throw;
        }
    }

    private async Task RelayAsync(DecodeHead first, byte[] buffer, CancellationTokenSource decodeEnd)
    {
        bool whole = !body.Facts.Stream && first.Length < buffer.Length;
        reply.Start(first.Response.StatusCode, Answer(first.Response, whole ? first.Length : null));
        int length = first.Length;
        while (length > 0)
        {
            await reply.WriteAsync(buffer.AsMemory(0, length), decodeEnd.Token);
            if (whole) return;
            length = await first.Response.ReadAsync(buffer, decodeEnd.Token);
        }
    }

    private IEnumerable<KeyValuePair<string, string>> Answer(ILegResponse response, int? length)
    {
        foreach (KeyValuePair<string, string> header in response.Headers)
            if (ResponseHeaders.Passes(header.Key, keepLength: false)) yield return header;
        if (length is { } known) yield return new("content-length", known.ToString());
        if (body.Facts.Stream)
        {
            yield return new("cache-control", "no-cache");
            yield return new("x-accel-buffering", "no");
        }
        yield return new("x-request-id", head.RequestId);
        if (!options.ExposeRoute) yield break;
        if (route.Prefill is { } prefill)
        {
            yield return new("x-baton-prefill", prefill.Worker.Url);
            if (prefill.Rank is { } rank) yield return new("x-baton-prefill-rank", rank.ToString());
        }
        yield return new("x-baton-decode", route.Decode.Worker.Url);
        if (route.Decode.Rank is { } decodeRank) yield return new("x-baton-decode-rank", decodeRank.ToString());
        if (route.FirstRoom is { } room) yield return new("x-baton-room", room.Value.ToString());
    }

    private async Task CutAsync(RouterError error)
    {
        if (!body.Facts.Stream)
        {
            reply.Abort();
            return;
        }
        byte[] json = error.ToJson();
        await reply.WriteAsync((byte[])[.. "data: "u8, .. json, .. "\n\ndata: [DONE]\n\n"u8], CancellationToken.None);
    }

    private PairingFields Pairing(Worker prefill) =>
        new(prefill.BootstrapHost, prefill.BootstrapPort, [.. route.Rooms.Select(r => (long)r.Value)], body.Facts.IsBatch);

    private List<KeyValuePair<string, string>> Headers(Worker worker)
    {
        List<KeyValuePair<string, string>> headers = [.. head.Forwarded];
        if (!head.HasAuthorization && worker.Spec.ApiKey is { } key) headers.Add(new("Authorization", "Bearer " + key));
        return headers;
    }

    /// <summary>After decode's first byte a prefill failure is counted and nothing else.</summary>
    private void WatchLatePrefill(Task<RouterError?> prefill)
    {
        if (route.Prefill is not { } candidate) return;
        owner.BeginTail();
        _ = WatchAsync();

        async Task WatchAsync()
        {
            try
            {
                if (await prefill is { } late) owner.LatePrefillFailure(candidate.Worker, late);
            }
            finally
            {
                owner.EndTail();
            }
        }
    }

    /// <summary>A worker that may lose KV blocks when a prefill is cut is left to finish; nobody waits for it.</summary>
    private void CancelPrefill(CancellationTokenSource end)
    {
        if (route.Prefill is not { } prefill || !prefill.Worker.Info.CancelAnytime) return;
        try
        {
            end.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The leg ended by itself between the look and the call.
        }
    }

    private LegAction Apply(LegEvent what)
    {
        (_state, LegAction action) = _state.On(what);
        return action;
    }

    private static async Task<int> FillAsync(ILegResponse response, byte[] buffer, CancellationToken ct)
    {
        int length = 0;
        while (length < buffer.Length && await response.ReadAsync(buffer.AsMemory(length), ct) is var read and > 0) length += read;
        return length;
    }

    private static async Task DropAsync(Task<DecodeHead> decode)
    {
        try
        {
            await (await decode).Response.DisposeAsync();
        }
        catch (Exception e) when (e is LegException or OperationCanceledException)
        {
            // It was cancelled because prefill failed: that error is the one that counts.
        }
    }
}
