using Baton.Router.Legs;

namespace Baton.Router.Forwarding;

/// <summary>The head of an answer: decode's own headers, ours, and the route when it is exposed.</summary>
internal static class AnswerHeaders
{
    /// <param name="length">Of the body, when it is known.</param>
    public static IEnumerable<KeyValuePair<string, string>> Of(AttemptContext attempt, ILegResponse response, int? length)
    {
        foreach (KeyValuePair<string, string> header in response.Headers)
            if (ResponseHeaders.Passes(header.Key)) yield return header;
        if (length is { } known) yield return new("content-length", known.ToString());
        if (attempt.Facts.Stream)
        {
            yield return new("cache-control", "no-cache");
            yield return new("x-accel-buffering", "no");
        }
        yield return new("x-request-id", attempt.Head.RequestId);
        if (!attempt.Options.ExposeRoute) yield break;
        if (attempt.Route.Prefill is { } prefill)
        {
            yield return new("x-baton-prefill", prefill.Worker.Url);
            if (prefill.Rank is { } rank) yield return new("x-baton-prefill-rank", rank.ToString());
        }
        yield return new("x-baton-decode", attempt.Route.Decode.Worker.Url);
        if (attempt.Route.Decode.Rank is { } decodeRank) yield return new("x-baton-decode-rank", decodeRank.ToString());
        if (attempt.Route.FirstRoom is { } room) yield return new("x-baton-room", room.Value.ToString());
        yield return new("x-baton-attempts", attempt.Attempt.ToString());
    }
}
