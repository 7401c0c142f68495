using System.Net.Http.Json;
using System.Text.Json.Serialization;

namespace Baton.Cli.Supervision;

/// <summary>Asks the processes of a cluster whether they work.</summary>
internal sealed partial class ClusterProbe(HttpClient http, TimeProvider time)
{
    private static readonly TimeSpan HealthTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan GenerationTimeout = TimeSpan.FromSeconds(30);
    private const int QuotedBodyCharacters = 300;

    /// <summary>Whether one process answers 200. Not reachable, too slow and not ready are all "no".</summary>
    public async Task<bool> IsHealthyAsync(Uri healthUrl, CancellationToken ct)
    {
        using CancellationTokenSource timeout = new(HealthTimeout, time);
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, ct);
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(healthUrl, deadline.Token);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>Sends one real prompt through the whole cluster and waits for one token.</summary>
    /// <returns>Null when a token came, else why not, in one line.</returns>
    public async Task<string?> TryGenerateAsync(Uri entry, CancellationToken ct)
    {
        using CancellationTokenSource timeout = new(GenerationTimeout, time);
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, ct);
        using HttpRequestMessage request = new(HttpMethod.Post, new Uri(entry, "generate"))
        {
            Content = JsonContent.Create(new ProbeRequest("Hello", new ProbeSampling(1, 0)), ProbeJson.Default.ProbeRequest),
        };
        try
        {
            using HttpResponseMessage answer = await http.SendAsync(request, deadline.Token);
            if (answer.IsSuccessStatusCode) return null;
            string body = await answer.Content.ReadAsStringAsync(deadline.Token);
            return $"{(int)answer.StatusCode} {body[..Math.Min(body.Length, QuotedBodyCharacters)]}";
        }
        catch (HttpRequestException unreachable)
        {
            return unreachable.Message;
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return $"no answer within {GenerationTimeout.TotalSeconds:0} s";
        }
    }

    private sealed record ProbeRequest(string Text, ProbeSampling SamplingParams);

    private sealed record ProbeSampling(int MaxNewTokens, float Temperature);

    [JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
    [JsonSerializable(typeof(ProbeRequest))]
    private sealed partial class ProbeJson : JsonSerializerContext;
}
