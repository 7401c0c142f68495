using System.Buffers;
using System.Text.Json;
using Baton.Core.Ids;

namespace Baton.Serving.Library;

/// <summary>One prompt for <see cref="BatonEngine"/>. Values are checked as those of <c>/generate</c> are, and refused by the same names.</summary>
public sealed record EngineRequest
{
    /// <summary>The whole prompt as text; or give <see cref="InputIds"/>.</summary>
    public string? Text { get; init; }
    /// <summary>The prompt as token ids, such as from <see cref="BatonEngine.RenderChat"/>.</summary>
    public IReadOnlyList<int>? InputIds { get; init; }
    /// <summary>Names the request in logs and for aborts; null draws one.</summary>
    public string? RequestId { get; init; }
    public int? MaxNewTokens { get; init; }
    public int? MinNewTokens { get; init; }
    /// <summary>0 is greedy.</summary>
    public double? Temperature { get; init; }
    public double? TopP { get; init; }
    public int? TopK { get; init; }
    public double? MinP { get; init; }
    public double? RepetitionPenalty { get; init; }
    public double? FrequencyPenalty { get; init; }
    public double? PresencePenalty { get; init; }
    public ulong? Seed { get; init; }
    public IReadOnlyList<string> Stop { get; init; } = [];
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];
    public bool IgnoreEos { get; init; }
    /// <summary>GBNF text that the answer has to follow.</summary>
    public string? Grammar { get; init; }
    public bool ReturnLogprobs { get; init; }
    public int TopLogprobs { get; init; }
    /// <summary>Forces the rank of this engine.</summary>
    public int? RoutedDpRank { get; init; }
    /// <summary>On decode: which prefill rank holds the KV.</summary>
    public int? PrefillDpRank { get; init; }
    /// <summary>The old name of <see cref="RoutedDpRank"/>, which counts when both are given.</summary>
    public int? DataParallelRank { get; init; }
    /// <summary>On prefill and decode engines: the prefill side's bootstrap server.</summary>
    public BootstrapAddress? Bootstrap { get; init; }
    /// <summary>On prefill and decode engines: the number that both halves share, in [1, 2^63-1].</summary>
    public ulong? Room { get; init; }

    /// <summary>The same request as a body of <c>/generate</c>, so that there is one validation and not two.</summary>
    internal ReadOnlyMemory<byte> ToBody()
    {
        ArrayBufferWriter<byte> buffer = new(256);
        using Utf8JsonWriter json = new(buffer);
        json.WriteStartObject();
        if (Text is not null) json.WriteString("text", Text);
        if (InputIds is not null) Numbers(json, "input_ids", InputIds);
        if (RequestId is not null) json.WriteString("rid", RequestId);
        if (ReturnLogprobs) json.WriteBoolean("return_logprob", true);
        if (TopLogprobs != 0) json.WriteNumber("top_logprobs_num", TopLogprobs);
        Number(json, "routed_dp_rank", RoutedDpRank);
        Number(json, "disagg_prefill_dp_rank", PrefillDpRank);
        Number(json, "data_parallel_rank", DataParallelRank);
        if (Bootstrap is { } bootstrap)
        {
            json.WriteString("bootstrap_host", bootstrap.Host);
            json.WriteNumber("bootstrap_port", bootstrap.Port);
        }
        if (Room is { } room) json.WriteNumber("bootstrap_room", room);
        json.WriteStartObject("sampling_params");
        Number(json, "max_new_tokens", MaxNewTokens);
        Number(json, "min_new_tokens", MinNewTokens);
        Number(json, "temperature", Temperature);
        Number(json, "top_p", TopP);
        Number(json, "top_k", TopK);
        Number(json, "min_p", MinP);
        Number(json, "repetition_penalty", RepetitionPenalty);
        Number(json, "frequency_penalty", FrequencyPenalty);
        Number(json, "presence_penalty", PresencePenalty);
        if (Seed is { } seed) json.WriteNumber("sampling_seed", seed);
        json.WriteStartArray("stop");
        foreach (string stop in Stop) json.WriteStringValue(stop);
        json.WriteEndArray();
        Numbers(json, "stop_token_ids", StopTokenIds);
        if (IgnoreEos) json.WriteBoolean("ignore_eos", true);
        if (Grammar is not null) json.WriteString("ebnf", Grammar);
        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenMemory;
    }

    private static void Number(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
    }

    private static void Number(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
    }

    private static void Numbers(Utf8JsonWriter json, string name, IReadOnlyList<int> values)
    {
        json.WriteStartArray(name);
        foreach (int value in values) json.WriteNumberValue(value);
        json.WriteEndArray();
    }
}

/// <summary>News of one request of a batch.</summary>
/// <param name="Index">Its place in the batch, from 0.</param>
public sealed record BatchUpdate(int Index, GenerationUpdate Update);

/// <summary>What is new since the last update.</summary>
/// <param name="Text">Complete characters; may be empty.</param>
/// <param name="Tokens">With log probabilities where they were asked for.</param>
/// <param name="End">Set in the last update.</param>
/// <param name="MatchedStop">The stop string that ended the answer.</param>
public sealed record GenerationUpdate(
    string Text, IReadOnlyList<Core.Requests.OutputToken> Tokens, Core.Requests.GenerationEnd? End, string? MatchedStop);
