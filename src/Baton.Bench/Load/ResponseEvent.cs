using System.Text;
using System.Text.Json;

namespace Baton.Bench.Load;

/// <summary>What one JSON object of a response says: an SSE event, or a whole body when nothing streams.</summary>
/// <remarks>One parser for the native and the OpenAI shapes, since their keys do not collide. Allocates only for what a request reports once.</remarks>
internal struct ResponseEvent
{
    public bool HasContent;
    /// <summary>Count so far from <c>meta_info</c> (native) or the final one from <c>usage</c>; -1 when the event has none.</summary>
    public int CompletionTokens;
    public bool IsFinished;
    public string? Text;
    public RequestError? Error;

    /// <param name="json">One complete object.</param>
    /// <param name="record">Gets what the event reports about the request: token counts, ranks, hand-over.</param>
    /// <param name="keepText">Also copy the text out.</param>
    /// <exception cref="JsonException">Not one JSON object.</exception>
    public static ResponseEvent Parse(ReadOnlySpan<byte> json, RequestRecord record, bool keepText)
    {
        ResponseEvent parsed = new() { CompletionTokens = -1 };
        Utf8JsonReader reader = new(json);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw new JsonException("not a JSON object");
        bool isErrorObject = false;
        string? message = null;
        string code = "";
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("text"u8)) parsed.ReadText(ref reader, keepText);
            else if (reader.ValueTextEquals("meta_info"u8)) parsed.ReadMetaInfo(ref reader, record);
            else if (reader.ValueTextEquals("choices"u8)) parsed.ReadChoices(ref reader, keepText);
            else if (reader.ValueTextEquals("usage"u8)) ReadUsage(ref reader, record);
            else if (reader.ValueTextEquals("error"u8)) parsed.ReadError(ref reader);
            else if (reader.ValueTextEquals("object"u8)) isErrorObject = NextString(ref reader) == "error";
            else if (reader.ValueTextEquals("message"u8)) message = NextString(ref reader);
            else if (reader.ValueTextEquals("code"u8)) code = NextScalar(ref reader);
            else SkipValue(ref reader);
        }
        // SGLang's and vLLM's OpenAI servers put {"object":"error","message":…} into the stream instead of {"error":…}.
        if (isErrorObject) parsed.Error = new RequestError(RequestErrorKind.ErrorInStream, code, message ?? "no message");
        return parsed;
    }

    private void ReadText(ref Utf8JsonReader reader, bool keepText)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.String || reader.ValueSpan.Length == 0)
        {
            reader.Skip();
            return;
        }
        HasContent = true;
        if (keepText) Text = reader.GetString();
    }

    private void ReadMetaInfo(ref Utf8JsonReader reader, RequestRecord record)
    {
        if (!EnterObject(ref reader)) return;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("completion_tokens"u8)) CompletionTokens = NextInt(ref reader) ?? -1;
            else if (reader.ValueTextEquals("prompt_tokens"u8)) record.PromptTokens = NextInt(ref reader) ?? record.PromptTokens;
            else if (reader.ValueTextEquals("cached_tokens"u8)) record.CachedTokens = NextInt(ref reader) ?? 0;
            else if (reader.ValueTextEquals("dp_rank"u8)) record.DpRank = NextInt(ref reader);
            else if (reader.ValueTextEquals("prefill_dp_rank"u8)) record.PrefillDpRank = NextInt(ref reader);
            else if (reader.ValueTextEquals("rank_source"u8)) record.RankSource = NextString(ref reader);
            else if (reader.ValueTextEquals("handover_bytes"u8)) record.HandoverBytes = (long)(NextDouble(ref reader) ?? 0);
            else if (reader.ValueTextEquals("handover_ms"u8)) record.HandoverTime = TimeSpan.FromMilliseconds(NextDouble(ref reader) ?? 0);
            else if (reader.ValueTextEquals("finish_reason"u8)) ReadFinishReason(ref reader);
            else SkipValue(ref reader);
        }
    }

    private void ReadFinishReason(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null) return;
        IsFinished = true;
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            if (reader.TokenType == JsonTokenType.String && reader.ValueTextEquals("abort"u8)) Error = new RequestError(RequestErrorKind.Aborted, "", "finish_reason abort");
            else reader.Skip();
            return;
        }
        bool isAbort = false;
        string? message = null;
        string status = "";
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("type"u8)) isAbort = NextString(ref reader) == "abort";
            else if (reader.ValueTextEquals("message"u8)) message = NextString(ref reader);
            else if (reader.ValueTextEquals("status_code"u8)) status = NextScalar(ref reader);
            else SkipValue(ref reader);
        }
        if (isAbort) Error = new RequestError(RequestErrorKind.Aborted, status, message ?? "no message");
    }

    private void ReadChoices(ref Utf8JsonReader reader, bool keepText)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.StartObject)
        {
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("text"u8)) ReadText(ref reader, keepText);
                else if (reader.ValueTextEquals("delta"u8) || reader.ValueTextEquals("message"u8)) ReadDelta(ref reader, keepText);
                else if (reader.ValueTextEquals("finish_reason"u8)) ReadFinishReason(ref reader);
                else SkipValue(ref reader);
            }
        }
    }

    private void ReadDelta(ref Utf8JsonReader reader, bool keepText)
    {
        if (!EnterObject(ref reader)) return;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("content"u8) || reader.ValueTextEquals("reasoning_content"u8)) ReadText(ref reader, keepText);
            else SkipValue(ref reader);
        }
    }

    private static void ReadUsage(ref Utf8JsonReader reader, RequestRecord record)
    {
        if (!EnterObject(ref reader)) return;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("completion_tokens"u8)) record.OutputTokens = NextInt(ref reader) ?? record.OutputTokens;
            else if (reader.ValueTextEquals("prompt_tokens"u8)) record.PromptTokens = NextInt(ref reader) ?? record.PromptTokens;
            else SkipValue(ref reader);
        }
    }

    private void ReadError(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null) return;
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            string text = reader.TokenType == JsonTokenType.String ? reader.GetString()! : Encoding.UTF8.GetString(reader.ValueSpan);
            reader.Skip();
            Error = new RequestError(RequestErrorKind.ErrorInStream, "", text);
            return;
        }
        string? message = null;
        string code = "";
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("message"u8)) message = NextString(ref reader);
            else if (reader.ValueTextEquals("code"u8)) code = NextScalar(ref reader);
            else SkipValue(ref reader);
        }
        Error = new RequestError(RequestErrorKind.ErrorInStream, code, message ?? "no message");
    }

    /// <summary>Steps into the object that is the property's value; skips any other value.</summary>
    private static bool EnterObject(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.StartObject) return true;
        reader.Skip();
        return false;
    }

    private static int? NextInt(ref Utf8JsonReader reader) => NextDouble(ref reader) is { } number ? (int)number : null;

    private static double? NextDouble(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Number) return reader.GetDouble();
        reader.Skip();
        return null;
    }

    private static string? NextString(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String) return reader.GetString();
        reader.Skip();
        return null;
    }

    private static string NextScalar(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType is JsonTokenType.String or JsonTokenType.Number)
            return reader.TokenType == JsonTokenType.String ? reader.GetString()! : Encoding.UTF8.GetString(reader.ValueSpan);
        reader.Skip();
        return "";
    }

    private static void SkipValue(ref Utf8JsonReader reader)
    {
        reader.Read();
        reader.Skip();
    }
}
