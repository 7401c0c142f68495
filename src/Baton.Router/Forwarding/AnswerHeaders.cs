using Baton.Router.Legs;

namespace Baton.Router.Forwarding;

/// <summary>The head of an answer: decode's own headers, ours, and the route when it is exposed.</summary>
internal static class AnswerHeaders
{
    /// <param name="length">Of the body, when it is known.</param>
    public static List<KeyValuePair<string, string>> Of(AttemptContext attempt, ILegResponse response, int? length)
    {
        List<KeyValuePair<string, string>> all = new(response.Headers.Count + 4);
        foreach (KeyValuePair<string, string> header in response.Headers)
            if (ResponseHeaders.Passes(header.Key)) all.Add(header);
        if (length is { } known) all.Add(new("content-length", known.ToString()));
        if (attempt.Facts.Stream)
        {
            all.Add(new("cache-control", "no-cache"));
            all.Add(new("x-accel-buffering", "no"));
        }
        all.Add(new("x-request-id", attempt.Head.RequestId));
        if (!attempt.Options.ExposeRoute) return all;
        if (attempt.Route.Prefill is { } prefill)
        {
            all.Add(new("x-baton-prefill", prefill.Worker.Url));
            if (prefill.Rank is { } rank) all.Add(new("x-baton-prefill-rank", rank.ToString()));
        }
        all.Add(new("x-baton-decode", attempt.Route.Decode.Worker.Url));
        if (attempt.Route.Decode.Rank is { } decodeRank) all.Add(new("x-baton-decode-rank", decodeRank.ToString()));
        if (attempt.Route.FirstRoom is { } room) all.Add(new("x-baton-room", room.Value.ToString()));
        all.Add(new("x-baton-attempts", attempt.Attempt.ToString()));
        return all;
    }
}
