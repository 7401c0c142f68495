using System.Text;
using System.Text.Json;
using Baton.Core.Failures;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Serving.Output;

namespace Baton.Serving.Http;

/// <summary>Writes SGLang's native answers: text so far, ids so far, <c>meta_info</c>.</summary>
internal static class NativeJson
{
    /// <param name="index">For streamed batches.</param>
    public static void Write(Utf8JsonWriter json, SequenceRun run, ITextModel model, TimeSpan now, int? index = null)
    {
        Answer answer = run.Answer;
        json.WriteStartObject();
        json.WriteString("text", answer.VisibleText);
        json.WriteStartArray("output_ids");
        foreach (OutputToken token in answer.Tokens) json.WriteNumberValue(token.TokenId);
        json.WriteEndArray();
        json.WriteStartObject("meta_info");
        WriteMeta(json, run, model, now);
        json.WriteEndObject();
        if (index is { } which) json.WriteNumber("index", which);
        json.WriteEndObject();
    }

    private static void WriteMeta(Utf8JsonWriter json, SequenceRun run, ITextModel model, TimeSpan now)
    {
        Answer answer = run.Answer;
        GenerationEnd? end = answer.End;
        json.WriteString("id", answer.Sequence.Id.Value);
        json.WritePropertyName("finish_reason");
        if (end is null) json.WriteNullValue();
        else WriteFinish(json, end, answer.MatchedStop);
        json.WriteNumber("prompt_tokens", answer.Sequence.PromptTokens.Length);
        json.WriteNumber("completion_tokens", end?.CompletionTokens ?? answer.Tokens.Count);
        json.WriteNumber("cached_tokens", end?.CachedTokens ?? 0);
        WriteRanks(json, run);
        if (answer.Sequence.Sampling.ReturnLogprob) WriteLogprobs(json, answer, model);
        if (end is null) return;
        json.WriteNumber("e2e_latency", Math.Round((now - run.AcceptedAt).TotalSeconds, 6));
        json.WriteNumber("queue_time", Math.Round(end.QueueTime.TotalSeconds, 6));
        if (end.HandoverBytes == 0) return;
        json.WriteNumber("handover_bytes", end.HandoverBytes);
        json.WriteNumber("handover_ms", Math.Round(end.HandoverTime.TotalMilliseconds, 3));
    }

    /// <summary>Who worked on the answer: <c>dp_rank</c> and, of a pair, <c>prefill_dp_rank</c>, <c>rank_source</c> and <c>bootstrap_room</c>.</summary>
    public static void WriteRanks(Utf8JsonWriter json, SequenceRun run)
    {
        GenerationEnd? end = run.Answer.End;
        json.WriteNumber("dp_rank", (end?.DpRank ?? run.DpRank).Value);
        if (end?.PrefillDpRank is { } prefill) json.WriteNumber("prefill_dp_rank", prefill.Value);
        if (end is { RankSource: not RankSource.None }) json.WriteString("rank_source", end.RankSource.ToString().ToLowerInvariant());
        // A string, because a room passes 2^53 and many readers go through a double.
        if (run.Answer.Sequence.Bootstrap is { } bootstrap) json.WriteString("bootstrap_room", bootstrap.Room.Value.ToString());
    }

    private static void WriteFinish(Utf8JsonWriter json, GenerationEnd end, string? matchedStop)
    {
        json.WriteStartObject();
        switch (end.Kind)
        {
            case FinishKind.Stop:
                json.WriteString("type", "stop");
                if (matchedStop is not null) json.WriteString("matched", matchedStop);
                else if (end.StopTokenId is { } token) json.WriteNumber("matched", token);
                break;
            case FinishKind.Length:
                json.WriteString("type", "length");
                // A prefill worker's answer after a hand-over: SGLang's routers know it by its length 0.
                json.WriteNumber("length", end is { HandoverBytes: > 0, PrefillDpRank: null } ? 0 : end.CompletionTokens);
                break;
            default:
                json.WriteString("type", "abort");
                json.WriteString("message", end.Failure!.Message);
                json.WriteNumber("status_code", end.Failure.Reason.HttpStatus);
                json.WriteString("err_type", end.Failure.Reason.Code);
                break;
        }
        json.WriteEndObject();
    }

    private static void WriteLogprobs(Utf8JsonWriter json, Answer answer, ITextModel model)
    {
        bool withText = answer.Sequence.Output.TextInLogprobs;
        json.WriteStartArray("input_token_logprobs");
        foreach (TokenLogprob token in answer.End?.InputLogprobs ?? []) WriteTriple(json, token, model, withText);
        json.WriteEndArray();
        json.WriteStartArray("output_token_logprobs");
        foreach (OutputToken token in answer.Tokens) WriteTriple(json, new TokenLogprob(token.TokenId, token.Logprob), model, withText);
        json.WriteEndArray();
        if (answer.Sequence.Sampling.TopLogprobs == 0) return;
        json.WriteStartArray("output_top_logprobs");
        foreach (OutputToken token in answer.Tokens)
        {
            json.WriteStartArray();
            foreach (TokenLogprob top in token.TopLogprobs ?? []) WriteTriple(json, top, model, withText);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    /// <summary>SGLang's [logprob, id, text or null]; the first token of a prompt has no log probability.</summary>
    private static void WriteTriple(Utf8JsonWriter json, TokenLogprob token, ITextModel model, bool withText)
    {
        json.WriteStartArray();
        if (float.IsFinite(token.Logprob)) json.WriteNumberValue(token.Logprob);
        else json.WriteNullValue();
        json.WriteNumberValue(token.TokenId);
        if (withText) json.WriteStringValue(Encoding.UTF8.GetString(model.TokenBytes(token.TokenId)));
        else json.WriteNullValue();
        json.WriteEndArray();
    }
}
