using System.Diagnostics;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Router.Forwarding;

/// <summary>What every part of one attempt needs, and nothing that changes while it runs.</summary>
internal sealed record AttemptContext
{
    public required ILegTransport Transport { get; init; }
    public required RouterOptions Options { get; init; }
    public required RouterMetrics Metrics { get; init; }
    public required RequestTags Tags { get; init; }
    public required TimeProvider Time { get; init; }
    public required ILogger Logger { get; init; }
    public required Route Route { get; init; }
    public required ClientBody Body { get; init; }
    public required ByteEdits? Edits { get; init; }
    /// <summary>The body's facts; on a fanned-out sample with one sequence per prompt.</summary>
    public required RequestFacts Facts { get; init; }
    public required RequestHead Head { get; init; }
    /// <summary>Cancelled when the router's grace period is over.</summary>
    public required CancellationToken Shutdown { get; init; }
    /// <summary>1 for the first.</summary>
    public required int Attempt { get; init; }

    /// <summary>The request's span, the parent of both legs'; null when nobody listens.</summary>
    public required Activity? Span { get; init; }

    public TimeSpan Now => Time.GetElapsedTime(0);

    public PairingFields? Pairing => Route.Prefill is { } prefill
        ? new PairingFields(prefill.Worker.BootstrapHost, prefill.Worker.BootstrapPort, [.. Route.Rooms.Select(r => (long)r.Value)], Facts.IsBatch)
        : null;

    /// <summary>The answer cannot be finished without prefill's: prompt log probabilities and routed experts exist only there.</summary>
    public bool NeedsPrefillAnswer => Route.Prefill is not null && (Facts.NeedsInputLogprobs || (Facts.NeedsRoutedExperts && Facts.Endpoint == DataEndpoint.Generate));

    /// <summary>A step of the request as a child of its span, whatever runs around it.</summary>
    public Activity? StartSpan(string name) => Span is null ? null : RouterTrace.Source.StartActivity(name, ActivityKind.Client, Span.Context);

    /// <summary>Decode's first byte went to the client.</summary>
    /// <param name="sent">When both legs were sent.</param>
    /// <param name="now">When the byte was there.</param>
    public void NoteFirstByte(TimeSpan sent, TimeSpan now)
    {
        Metrics.FirstByte(Tags, Route, now - Head.ReceivedAt, now - sent);
        if (Span is null) return;
        using Activity? until = RouterTrace.Source.StartActivity("first_token", ActivityKind.Internal, Span.Context, startTime: new DateTimeOffset(Span.StartTimeUtc));
    }

    public LegRequest Leg(Worker worker, LegBody body, Activity? span)
    {
        List<KeyValuePair<string, string>> headers = new(Head.Forwarded.Count + 2);
        foreach (KeyValuePair<string, string> header in Head.Forwarded)
        {
            // Our own span becomes the parent; without a listener the client's goes through unchanged.
            if (span is not null && header.Key.Equals("traceparent", StringComparison.OrdinalIgnoreCase)) continue;
            headers.Add(header);
        }
        if (span?.Id is { } id) headers.Add(new("traceparent", id));
        if (!Head.HasAuthorization && worker.Spec.ApiKey is { } key) headers.Add(new("Authorization", "Bearer " + key));
        span?.SetTag("worker", worker.Url).SetTag("room", Route.FirstRoom?.Value.ToString()).SetTag("attempt", Attempt)
            .SetTag("rank", worker == Route.Decode.Worker ? Route.Decode.Rank : Route.Prefill?.Rank);
        return new LegRequest(worker, worker.Target(Facts.Endpoint), body, headers);
    }

    public RouterError Blame(RouterError error) => error with { Room = Route.FirstRoom, Attempts = Attempt };
}

internal static class LegResponses
{
    extension(ILegResponse response)
    {
        /// <summary>Reads until the buffer is full or the body ends. Less than the buffer's length means its end.</summary>
        public async ValueTask<int> FillAsync(byte[] buffer, CancellationToken ct)
        {
            int length = 0;
            while (length < buffer.Length && await response.ReadAsync(buffer.AsMemory(length), ct) is var read and > 0) length += read;
            return length;
        }

        public TimeSpan? RetryAfter => int.TryParse(response.Header("retry-after"), out int seconds) && seconds >= 0 ? TimeSpan.FromSeconds(seconds) : null;
    }
}
