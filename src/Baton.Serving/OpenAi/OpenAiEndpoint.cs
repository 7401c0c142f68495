using System.Text.Json;
using Baton.Serving.Http;
using Baton.Serving.Output;
using Baton.Serving.Workers;

namespace Baton.Serving.OpenAi;

/// <summary>How one of the two OpenAI endpoints shows its answers.</summary>
internal abstract class OpenAiShape(OpenAiCall call, Worker worker)
{
    private readonly string _id = Prefix(call);
    private readonly long _created = worker.Clock.UnixSeconds;

    protected OpenAiCall Call { get; } = call;
    protected Worker Worker { get; } = worker;

    protected abstract string WholeObject { get; }
    protected abstract string ChunkObject { get; }

    /// <summary>One choice of a whole answer.</summary>
    protected abstract void WriteChoice(Utf8JsonWriter json, SequenceRun run, int index);

    /// <summary>One choice of a chunk: what is new since the last one.</summary>
    protected abstract void WriteDelta(Utf8JsonWriter json, SequenceRun run, int index, StreamCursor cursor, bool isFirst);

    public void WriteWhole(Utf8JsonWriter json, CallRun run)
    {
        WriteHead(json, WholeObject);
        json.WriteStartArray("choices");
        for (int i = 0; i < run.Runs.Count; i++) WriteChoice(json, run.Runs[i], i);
        json.WriteEndArray();
        WriteUsage(json, run);
        json.WriteEndObject();
    }

    public void WriteChunk(Utf8JsonWriter json, SequenceRun run, int index, StreamCursor cursor, bool isFirst)
    {
        WriteHead(json, ChunkObject);
        json.WriteStartArray("choices");
        WriteDelta(json, run, index, cursor, isFirst);
        json.WriteEndArray();
        if (Call.IncludeUsage) json.WriteNull("usage");
        json.WriteEndObject();
    }

    /// <summary>The chunk behind the last one, for <c>stream_options.include_usage</c>.</summary>
    public void WriteUsageChunk(Utf8JsonWriter json, CallRun run)
    {
        WriteHead(json, ChunkObject);
        json.WriteStartArray("choices");
        json.WriteEndArray();
        WriteUsage(json, run);
        json.WriteEndObject();
    }

    /// <summary>How the choice ended, and once it has, on which ranks.</summary>
    protected static void WriteFinish(Utf8JsonWriter json, SequenceRun run)
    {
        Answer answer = run.Answer;
        string? reason = answer.End?.Kind switch
        {
            null => null,
            Core.Requests.FinishKind.Stop => "stop",
            Core.Requests.FinishKind.Length => "length",
            _ => "abort",
        };
        json.WriteString("finish_reason", reason);
        // SGLang's extension: what stopped it.
        if (answer.MatchedStop is { } text) json.WriteString("matched_stop", text);
        else if (answer.End?.StopTokenId is { } token) json.WriteNumber("matched_stop", token);
        if (answer.End is null) return;
        // SGLang's name for what OpenAI's schema has no place for. In the choice, because each has ranks and a room of its own.
        json.WriteStartObject("sglext");
        NativeJson.WriteRanks(json, run);
        json.WriteEndObject();
    }

    private void WriteHead(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("id", _id);
        json.WriteString("object", name);
        json.WriteNumber("created", _created);
        json.WriteString("model", Call.Model);
    }

    private void WriteUsage(Utf8JsonWriter json, CallRun run)
    {
        int samples = Call.Generation.SamplesPerPrompt;
        // A prompt counts once, however many samples are drawn from it.
        int prompt = run.Runs.Where((_, i) => i % samples == 0).Sum(one => one.Answer.Sequence.PromptTokens.Length);
        int completion = run.Runs.Sum(one => one.Answer.End?.CompletionTokens ?? one.Answer.Tokens.Count);
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", prompt);
        json.WriteNumber("completion_tokens", completion);
        json.WriteNumber("total_tokens", prompt + completion);
        json.WriteStartObject("prompt_tokens_details");
        json.WriteNumber("cached_tokens", run.Runs.Sum(one => one.Answer.End?.CachedTokens ?? 0));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Prefix(OpenAiCall call)
    {
        string id = call.Generation.Sequences[0].Id.Value;
        return call.Generation.Sequences.Count > 1 && id.EndsWith("_0", StringComparison.Ordinal) ? id[..^2] : id;
    }
}

/// <summary>How much of one answer the client has.</summary>
internal sealed class StreamCursor
{
    public int Text { get; set; }
    public int Tokens { get; set; }
    public bool HasBegun { get; set; }
}

/// <summary>Answers both OpenAI endpoints: whole, or as a stream of deltas.</summary>
internal static class OpenAiEndpoint
{
    public static async Task AnswerAsync(Worker worker, OpenAiCall call, OpenAiShape shape, JsonReply reply, CancellationToken ct)
    {
        using CallRun run = CallRun.Start(worker, call.Generation);
        if (call.Generation.IsStream)
        {
            await StreamAsync(run, call, shape, reply, ct);
            return;
        }
        await run.CompleteAsync(ct);
        await reply.SendAsync(200, json => shape.WriteWhole(json, run), ct);
    }

    private static async Task StreamAsync(CallRun run, OpenAiCall call, OpenAiShape shape, JsonReply reply, CancellationToken ct)
    {
        StreamCursor[] cursors = [.. run.Runs.Select(_ => new StreamCursor())];
        await foreach (int index in run.NewsAsync(ct))
        {
            SequenceRun one = run.Runs[index];
            if (CallRun.FailureOf(one) is { } failure)
            {
                if (!reply.HasBegun) throw new CallFailedException(failure);
                await reply.SendEventAsync(json => ErrorJson.Write(json, failure, call.Generation.IsList ? index : null), ct);
                continue;
            }
            StreamCursor cursor = cursors[index];
            // Tokens that complete no character yet, or may belong to a stop string, make no chunk of their own.
            bool isNews = one.Answer.VisibleLength > cursor.Text || one.Answer.End is not null || (call.Logprobs is not null && one.Answer.Tokens.Count > cursor.Tokens);
            if (!isNews) continue;
            bool isFirst = !cursor.HasBegun;
            cursor.HasBegun = true;
            await reply.SendEventAsync(json => shape.WriteChunk(json, one, index, cursor, isFirst), ct);
            cursor.Text = one.Answer.VisibleLength;
            cursor.Tokens = one.Answer.Tokens.Count;
        }
        if (call.IncludeUsage) await reply.SendEventAsync(json => shape.WriteUsageChunk(json, run), ct);
        await reply.SendDoneAsync(ct);
    }
}
