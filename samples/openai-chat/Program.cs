// A conversation with a running `baton up`, by the official OpenAI library and nothing of Baton's own.
//   dotnet run --project samples/openai-chat -- "My locker code is 4711." "What is my locker code?"
// Each argument is one turn. BATON_URL names another server than http://127.0.0.1:30000.
using System.ClientModel;
using OpenAI;
using OpenAI.Chat;

Uri server = new(Environment.GetEnvironmentVariable("BATON_URL") ?? "http://127.0.0.1:30000");
string[] turns = args.Length > 0 ? args : ["My locker code is 4711.", "What is my locker code?"];

OpenAIClient client = new(new ApiKeyCredential("not-needed"), new OpenAIClientOptions { Endpoint = new Uri(server, "v1") });
string model = (await client.GetOpenAIModelClient().GetModelsAsync()).Value[0].Id;
ChatClient chat = client.GetChatClient(model);
ChatCompletionOptions options = new() { Temperature = 0 };

List<ChatMessage> conversation = [];
foreach (string turn in turns)
{
    Console.WriteLine($"you: {turn}");
    conversation.Add(new UserChatMessage(turn));

    Console.Write($"{model}: ");
    string answer = "";
    await foreach (StreamingChatCompletionUpdate update in chat.CompleteChatStreamingAsync(conversation, options))
    {
        foreach (ChatMessageContentPart part in update.ContentUpdate)
        {
            Console.Write(part.Text);
            answer += part.Text;
        }
    }

    Console.WriteLine();
    conversation.Add(new AssistantChatMessage(answer));
}
