using System.Text;
using System.Text.Json;
using Baton.Core.Requests;
using Baton.Serving.Output;
using Baton.Serving.Workers;

namespace Baton.Serving.OpenAi;

/// <summary>The answers of <c>/v1/chat/completions</c>.</summary>
internal sealed class ChatShape(OpenAiCall call, Worker worker) : OpenAiShape(call, worker)
{
    protected override string WholeObject => "chat.completion";
    protected override string ChunkObject => "chat.completion.chunk";

    protected override void WriteChoice(Utf8JsonWriter json, SequenceRun run, int index)
    {
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteStartObject("message");
        json.WriteString("role", "assistant");
        json.WriteString("content", run.Answer.VisibleText);
        json.WriteEndObject();
        WriteLogprobs(json, run.Answer, 0);
        WriteFinish(json, run);
        json.WriteEndObject();
    }

    protected override void WriteDelta(Utf8JsonWriter json, SequenceRun run, int index, StreamCursor cursor, bool isFirst)
    {
        ReadOnlySpan<char> text = run.Answer.VisibleText[cursor.Text..];
        json.WriteStartObject();
        json.WriteNumber("index", index);
        json.WriteStartObject("delta");
        if (isFirst) json.WriteString("role", "assistant");
        if (isFirst || text.Length > 0) json.WriteString("content", text);
        json.WriteEndObject();
        WriteLogprobs(json, run.Answer, cursor.Tokens);
        WriteFinish(json, run);
        json.WriteEndObject();
    }

    private void WriteLogprobs(Utf8JsonWriter json, Answer answer, int from)
    {
        if (Call.Logprobs is null)
        {
            json.WriteNull("logprobs");
            return;
        }
        json.WriteStartObject("logprobs");
        json.WriteStartArray("content");
        for (int i = from; i < answer.Tokens.Count; i++)
        {
            OutputToken token = answer.Tokens[i];
            json.WriteStartObject();
            WriteToken(json, token.TokenId, token.Logprob);
            json.WriteStartArray("top_logprobs");
            foreach (TokenLogprob top in token.TopLogprobs ?? [])
            {
                json.WriteStartObject();
                WriteToken(json, top.TokenId, top.Logprob);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNull("refusal");
        json.WriteEndObject();
    }

    private void WriteToken(Utf8JsonWriter json, int token, float logprob)
    {
        ReadOnlySpan<byte> bytes = Worker.Text.TokenBytes(token);
        json.WriteString("token", Encoding.UTF8.GetString(bytes));
        // The field is a number in OpenAI's schema; the least float says "not known".
        json.WriteNumber("logprob", float.IsFinite(logprob) ? logprob : -9999.0f);
        json.WriteStartArray("bytes");
        foreach (byte one in bytes) json.WriteNumberValue(one);
        json.WriteEndArray();
    }
}
