using System.Globalization;
using System.Text;
using System.Text.Json;
using Baton.Router.Answers;

namespace Baton.Router.Bodies;

/// <summary>A body whose answer another worker could go on with: a stream of one text, with nothing in the request that depends on how it began.</summary>
/// <remarks>
/// Refused are requests whose remaining output cannot be asked for as the prompt and what was said: structured output and tools (the grammar would
/// begin anew), log probabilities and echo (they would be of other tokens), several samples, images, sessions. And chats: what a worker's template
/// makes of a half finished answer is not ours to know.
/// </remarks>
public sealed class ContinuableBody
{
    // What a worker takes when the body does not say.
    private const int CompletionsDefault = 16;
    private const int GenerateDefault = 128;

    private static readonly HashSet<string> Refused =
    [
        "tools", "tool_choice", "response_format", "json_schema", "regex", "ebnf", "structural_tag", "guided_json", "guided_regex", "guided_grammar", "guided_choice",
        "image_data", "video_data", "audio_data", "modalities", "input_embeds", "session_params", "session_id", "suffix", "echo", "logprobs", "top_logprobs", "prompt_logprobs",
        "return_logprob", "return_hidden_states", "return_routed_experts", "custom_logit_processor",
    ];

    private readonly ClientBody _body;
    private readonly string _mostName, _leastName;
    private readonly bool _isNative;
    private Range _most, _least, _params;
    private int _mostTokens, _leastTokens;
    private bool _isRefused, _hasParams;

    private ContinuableBody(ClientBody body)
    {
        _body = body;
        _isNative = body.Facts.Endpoint == DataEndpoint.Generate;
        (_mostName, _leastName, _mostTokens) = _isNative ? ("max_new_tokens", "min_new_tokens", GenerateDefault) : ("max_tokens", "min_tokens", CompletionsDefault);
        Utf8JsonReader json = new(body.Utf8.Span, new JsonReaderOptions { MaxDepth = 512 });
        json.Read();
        Members(ref json, isTop: true);
    }

    /// <summary>Null when its answer cannot be continued.</summary>
    public static ContinuableBody? Of(ClientBody body)
    {
        if (body.Facts is not { Stream: true, IsBatch: false, SampleCount: 1, BestOf: 1, Endpoint: not DataEndpoint.Chat }) return null;
        if (JsonPlaces.IsEmpty(body.PromptRange) || body.Utf8.Span[body.PromptRange.Start.Value] != '"') return null;
        ContinuableBody found = new(body);
        return found._isRefused ? null : found;
    }

    /// <summary>The body that asks for the rest.</summary>
    /// <param name="said">The text that the client has, as JSON writes it between the quotes.</param>
    /// <param name="tokens">How many tokens that was.</param>
    /// <returns>Null when no token is left to be asked for.</returns>
    public ClientBody? Rest(ReadOnlySpan<byte> said, int tokens)
    {
        int left = _mostTokens - tokens;
        if (left < 1) return null;
        ByteEdits edits = new();
        int quote = _body.PromptRange.End.Value - 1;
        edits.Replace(quote..quote, said.ToArray());
        if (!JsonPlaces.IsEmpty(_least)) edits.Replace(_least, Utf8($"{Math.Max(0, _leastTokens - tokens)}"));
        if (!JsonPlaces.IsEmpty(_most)) edits.Replace(_most, Utf8($"{left}"));
        else if (!_isNative) InsertFirst(edits, 0, Utf8($"\"max_tokens\":{left}"), isEmpty: false);
        else if (JsonPlaces.IsEmpty(_params)) InsertFirst(edits, 0, Utf8($"\"sampling_params\":{{\"max_new_tokens\":{left}}}"), isEmpty: false);
        else if (_body.Utf8.Span[_params.Start.Value] != '{') edits.Replace(_params, Utf8($"{{\"max_new_tokens\":{left}}}"));
        else InsertFirst(edits, _params.Start.Value, Utf8($"\"max_new_tokens\":{left}"), isEmpty: !_hasParams);
        return ClientBodyReader.Read(edits.Apply(_body.Utf8.Span), _body.Facts.Endpoint);
    }

    /// <summary>Writes a member behind the first brace from an offset on.</summary>
    private void InsertFirst(ByteEdits edits, int from, byte[] member, bool isEmpty)
    {
        int at = from + _body.Utf8.Span[from..].IndexOf((byte)'{') + 1;
        edits.Replace(at..at, isEmpty ? member : [.. member, (byte)',']);
    }

    private void Members(ref Utf8JsonReader json, bool isTop)
    {
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string name = json.GetString()!;
            json.Read();
            int start = (int)json.TokenStartIndex;
            bool isNothing = json.TokenType is JsonTokenType.Null or JsonTokenType.False;
            int number = json.TokenType == JsonTokenType.Number && json.TryGetInt32(out int value) ? value : -1;
            if (isTop && _isNative && name == "sampling_params" && json.TokenType == JsonTokenType.StartObject) Members(ref json, isTop: false);
            else json.Skip();
            Range place = start..(int)json.BytesConsumed;
            if (isTop && name == "sampling_params" && _isNative) _params = place;
            // Where the endpoint has its limits: in the body itself, or one level down.
            if (isTop != _isNative)
            {
                if (name == _mostName) (_most, _mostTokens) = (place, number >= 0 ? number : _mostTokens);
                if (name == _leastName || (!_isNative && name == "min_new_tokens")) (_least, _leastTokens) = (place, Math.Max(0, number));
            }
            _hasParams |= !isTop;
            _isRefused |= !isNothing && Refused.Contains(name);
        }
    }

    private static byte[] Utf8(FormattableString text) => Encoding.UTF8.GetBytes(text.ToString(CultureInfo.InvariantCulture));
}
