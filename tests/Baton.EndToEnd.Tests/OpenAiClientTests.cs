using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json.Nodes;
using Baton.EndToEnd.Tests.Clusters;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace Baton.EndToEnd.Tests;

/// <summary>The official OpenAI library for .NET, unchanged, against the router.</summary>
public sealed class OpenAiClientTests(SharedClusters clusters)
{
    private const string Question = "My locker code is 4711. What is my locker code?";

    [Fact]
    public async Task It_lists_the_model_that_is_served()
    {
        OpenAIClient client = await ClientAsync();

        OpenAIModelCollection models = await client.GetOpenAIModelClient().GetModelsAsync();

        Assert.Contains("baton-demo", Assert.Single(models).Id, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_chats()
    {
        OpenAIClient client = await ClientAsync();

        ChatCompletion answer = await (await ChatAsync(client)).CompleteChatAsync([new UserChatMessage(Question)], Greedy());

        Assert.Contains("4711", answer.Content[0].Text, StringComparison.Ordinal);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.InRange(answer.Usage.InputTokenCount, 10, 60);
        Assert.InRange(answer.Usage.OutputTokenCount, 1, 40);
        Assert.Equal(answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount, answer.Usage.TotalTokenCount);
    }

    [Fact]
    public async Task A_streamed_chat_says_the_same_as_a_whole_one()
    {
        OpenAIClient client = await ClientAsync();
        ChatClient chat = await ChatAsync(client);
        ChatCompletion whole = await chat.CompleteChatAsync([new UserChatMessage(Question)], Greedy());

        StringBuilder streamed = new();
        List<ChatFinishReason> finishes = [];
        int updates = 0;
        await foreach (StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync([new UserChatMessage(Question)], Greedy()))
        {
            foreach (ChatMessageContentPart part in update.ContentUpdate) streamed.Append(part.Text);
            if (update.FinishReason is { } reason) finishes.Add(reason);
            updates++;
        }

        Assert.Equal(whole.Content[0].Text, streamed.ToString());
        Assert.Equal([ChatFinishReason.Stop], finishes);
        // Tokens that wait for the writer together travel together, so on a busy machine eleven tokens make few pieces.
        Assert.True(updates > 1, $"The answer came in {updates} pieces, so it was not streamed.");
    }

    [Fact]
    public async Task A_second_turn_remembers_the_first()
    {
        OpenAIClient client = await ClientAsync();
        ChatMessage[] conversation =
        [
            new UserChatMessage("My locker code is 4711."), new AssistantChatMessage("Okay."), new UserChatMessage("What is my locker code?"),
        ];

        ChatCompletion answer = await (await ChatAsync(client)).CompleteChatAsync(conversation, Greedy());

        Assert.Contains("4711", answer.Content[0].Text, StringComparison.Ordinal);
    }

    /// <summary>The library has no class of its own for this older route; its pipeline sends any request.</summary>
    [Fact]
    public async Task Its_pipeline_completes_text()
    {
        OpenAIClient client = await ClientAsync();
        PipelineMessage message = client.Pipeline.CreateMessage();
        message.Request.Method = "POST";
        message.Request.Uri = new Uri((await clusters.DisaggregatedAsync()).Url, "v1/completions");
        message.Request.Headers.Set("Content-Type", "application/json");
        message.Request.Content = BinaryContent.Create(BinaryData.FromString(
            """{"model": "baton-demo", "prompt": ["Hello", "My locker code is"], "max_tokens": 4, "temperature": 0}"""));

        await client.Pipeline.SendAsync(message);

        string body = message.Response!.Content.ToString();
        Assert.Equal(200, message.Response.Status);
        JsonNode answer = JsonNode.Parse(body)!;
        Assert.Equal("text_completion", (string)answer["object"]!);
        Assert.Equal([0, 1], answer["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));
        Assert.InRange((int)answer["usage"]!["completion_tokens"]!, 2, 8);
    }

    private static ChatCompletionOptions Greedy() => new() { Temperature = 0, MaxOutputTokenCount = 40 };

    private async Task<OpenAIClient> ClientAsync() => new(
        new ApiKeyCredential("not-needed"), new OpenAIClientOptions { Endpoint = new Uri((await clusters.DisaggregatedAsync()).Url, "v1") });

    private static async Task<ChatClient> ChatAsync(OpenAIClient client)
    {
        OpenAIModelCollection models = await client.GetOpenAIModelClient().GetModelsAsync();
        return client.GetChatClient(models[0].Id);
    }
}
