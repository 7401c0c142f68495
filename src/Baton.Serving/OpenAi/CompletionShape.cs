using System.Text;
using System.Text.Json;
using Baton.Core.Requests;
using Baton.Serving.Output;
using Baton.Serving.Workers;

namespace Baton.Serving.OpenAi;

/// <summary>The answers of <c>/v1/completions</c>.</summary>
internal sealed class CompletionShape(OpenAiCall call, Worker worker) : OpenAiShape(call, worker)
{
    protected override string WholeObject => "text_completion";
    protected override string ChunkObject => "text_completion";

    protected override void WriteChoice(Utf8JsonWriter json, SequenceRun run, int index)
    {
        string echo = EchoOf(index);
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteString("text", string.Concat(echo, run.Answer.VisibleText));
        WriteLogprobs(json, run.Answer, 0, echo.Length);
        WriteFinish(json, run);
        json.WriteEndObject();
    }

    protected override void WriteDelta(Utf8JsonWriter json, SequenceRun run, int index, StreamCursor cursor, bool isFirst)
    {
        string echo = EchoOf(index);
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteString("text", string.Concat(isFirst ? echo : "", run.Answer.VisibleText[cursor.Text..]));
        WriteLogprobs(json, run.Answer, cursor.Tokens, echo.Length);
        WriteFinish(json, run);
        json.WriteEndObject();
    }

    private string EchoOf(int index) => Call.Echo?[index / Call.Generation.SamplesPerPrompt] ?? "";

    private void WriteLogprobs(Utf8JsonWriter json, Answer answer, int from, int textStart)
    {
        if (Call.Logprobs is not { } top)
        {
            json.WriteNull("logprobs");
            return;
        }
        json.WriteStartObject("logprobs");
        json.WriteStartArray("tokens");
        for (int i = from; i < answer.Tokens.Count; i++) json.WriteStringValue(TextOf(answer.Tokens[i].TokenId));
        json.WriteEndArray();
        json.WriteStartArray("token_logprobs");
        for (int i = from; i < answer.Tokens.Count; i++) Number(json, answer.Tokens[i].Logprob);
        json.WriteEndArray();
        json.WriteStartArray("text_offset");
        int offset = textStart;
        for (int i = 0; i < answer.Tokens.Count; i++)
        {
            if (i >= from) json.WriteNumberValue(offset);
            offset += TextOf(answer.Tokens[i].TokenId).Length;
        }
        json.WriteEndArray();
        json.WriteStartArray("top_logprobs");
        for (int i = from; top > 0 && i < answer.Tokens.Count; i++)
        {
            json.WriteStartObject();
            // Two tokens can have the same text (parts of characters); the likelier one keeps the key.
            HashSet<string> seen = [];
            foreach (TokenLogprob one in answer.Tokens[i].TopLogprobs ?? [])
            {
                string text = TextOf(one.TokenId);
                if (!seen.Add(text)) continue;
                json.WritePropertyName(text);
                Number(json, one.Logprob);
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private string TextOf(int token) => Encoding.UTF8.GetString(Worker.Text.TokenBytes(token));

    private static void Number(Utf8JsonWriter json, float logprob)
    {
        if (float.IsFinite(logprob)) json.WriteNumberValue(logprob);
        else json.WriteNullValue();
    }
}
