using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;

namespace Baton.EndToEnd.Tests;

/// <summary>Answers that have to obey a grammar: the first token is drawn on prefill and the others on decode, under one grammar.</summary>
public sealed class ConstraintTests(SharedClusters clusters)
{
    [Theory]
    [InlineData("root ::= [0-9] [0-9] [0-9]", "^[0-9]{3}$")]
    [InlineData("root ::= (\"yes\" | \"no\") \", \" [a-z]{4}", "^(yes|no), [a-z]{4}$")]
    public async Task A_grammar_holds_over_the_hand_over_as_in_one_place(string grammar, string pattern)
    {
        using GenerateClient unified = await clusters.UnifiedClientAsync();
        using GenerateClient disaggregated = await clusters.DisaggregatedClientAsync();
        JsonObject body = new() { ["text"] = "Tell me", ["sampling_params"] = new JsonObject { ["temperature"] = 0.8, ["sampling_seed"] = 3, ["max_new_tokens"] = 40, ["ebnf"] = grammar } };

        string expected = await AskAsync(unified.Http, body), actual = await AskAsync(disaggregated.Http, body);

        Assert.Matches(pattern, actual);
        Assert.Equal(expected, actual);
    }

    [Fact]
    public async Task JSON_mode_writes_nothing_but_JSON()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        JsonObject body = new()
        {
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "Say something." }),
            ["response_format"] = new JsonObject { ["type"] = "json_object" },
            ["max_tokens"] = 24,
            ["temperature"] = 0,
        };

        using HttpResponseMessage response = await client.Http.PostAsJsonAsync("v1/chat/completions", body);
        string text = (string)JsonNode.Parse(await response.Content.ReadAsStringAsync())!["choices"]![0]!["message"]!["content"]!;

        // The demo model never saw JSON, so it may not come to the end of an object; whatever there is begins one.
        Assert.Matches("^\\s*\\{\\s*(\"|\\}|$)", text);
    }

    [Fact]
    public async Task A_JSON_schema_is_refused_and_said_to_be_missing()
    {
        using GenerateClient client = await clusters.DisaggregatedClientAsync();
        JsonObject body = new() { ["text"] = "Tell me", ["sampling_params"] = new JsonObject { ["json_schema"] = "{}" } };

        using HttpResponseMessage response = await client.Http.PostAsJsonAsync("generate", body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("json_schema", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static async Task<string> AskAsync(HttpClient http, JsonObject body)
    {
        using HttpResponseMessage response = await http.PostAsJsonAsync("generate", body);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return (string)JsonNode.Parse(text)!["text"]!;
    }
}
