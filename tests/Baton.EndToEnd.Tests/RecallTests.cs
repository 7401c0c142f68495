using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;
using Baton.EndToEnd.Tests.Prompts;

namespace Baton.EndToEnd.Tests;

/// <summary>The demo model recalls facts from far back in the prompt, and with a page of KV cache lost it cannot: so its answers measure the hand-over.</summary>
public sealed class RecallTests(SharedClusters clusters)
{
    private const int Cases = 200;

    [Fact]
    public async Task Two_hundred_facts_are_recalled_as_well_as_by_the_unified_server()
    {
        using GenerateClient unified = await clusters.UnifiedClientAsync();
        using GenerateClient disaggregated = await clusters.DisaggregatedClientAsync();

        int unifiedRight = 0;
        int disaggregatedRight = 0;
        List<string> differences = [];
        foreach (RecallCase one in RecallCase.Load(Cases))
        {
            // Alone on each server, so that it is computed by the same kernels; but both servers at a time.
            Task<string> asked = AskAsync(unified.Http, one);
            string actual = await AskAsync(disaggregated.Http, one);
            string expected = await asked;
            if (expected.Contains(one.Expected, StringComparison.Ordinal)) unifiedRight++;
            if (actual.Contains(one.Expected, StringComparison.Ordinal)) disaggregatedRight++;
            if (expected != actual) differences.Add($"case {one.Id}: unified '{expected}', disaggregated '{actual}'");
        }

        Assert.True(differences.Count == 0, string.Join('\n', differences));
        Assert.Equal(unifiedRight, disaggregatedRight);
        // All of them were answered right when the model was made; other kernels round differently.
        Assert.InRange(disaggregatedRight, Cases * 95 / 100, Cases);
    }

    private static async Task<string> AskAsync(HttpClient http, RecallCase one)
    {
        JsonObject body = new() { ["model"] = "baton-demo", ["messages"] = one.Messages.DeepClone(), ["temperature"] = 0, ["max_tokens"] = 40 };
        using HttpResponseMessage response = await http.PostAsJsonAsync("v1/chat/completions", body);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"case {one.Id} answered {(int)response.StatusCode}: {text}");
        return (string)JsonNode.Parse(text)!["choices"]![0]!["message"]!["content"]!;
    }
}
