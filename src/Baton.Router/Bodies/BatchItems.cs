using System.Text.Json;
using Baton.Router.Answers;

namespace Baton.Router.Bodies;

/// <summary>A batch's body taken apart: for each prompt a body of its own, with its own element of every field that is a list per prompt.</summary>
/// <remarks>What the workers' own batch code repeats for every prompt (a field that is no list) is repeated here too, byte for byte.</remarks>
public sealed class BatchItems
{
    private static readonly string[] OfGenerate =
    [
        "sampling_params", "return_logprob", "logprob_start_len", "top_logprobs_num", "token_ids_logprob", "return_hidden_states", "image_data", "video_data", "audio_data",
        "modalities", "lora_path", "custom_logit_processor", "session_params", "extra_key", "cache_salt", "rid",
    ];

    private static readonly string[] OfCompletions = ["lora_path", "extra_key", "cache_salt", "rid"];

    private readonly ClientBody _batch;
    private readonly List<Range> _prompts;
    private readonly Dictionary<string, (Range Value, List<Range> Elements)> _lists = [];
    private Range _rid;

    /// <param name="batch">Of <c>/generate</c> or <c>/v1/completions</c>, with a list of prompts.</param>
    /// <exception cref="BodyException">A list per prompt has another length than the list of prompts.</exception>
    public BatchItems(ClientBody batch)
    {
        _batch = batch;
        _prompts = JsonPlaces.Elements(batch.Utf8.Span, batch.PromptRange);
        FindLists(batch.Facts.Endpoint == DataEndpoint.Generate ? OfGenerate : OfCompletions);
        foreach ((string name, (_, List<Range> elements)) in _lists)
        {
            if (elements.Count != Count)
                throw new BodyException("invalid_request_body", $"{name} has {elements.Count} elements for {Count} prompts: give one for each, or one value for all.");
        }
    }

    public int Count => _prompts.Count;

    /// <summary>The body that asks for prompt <paramref name="index"/> alone.</summary>
    /// <exception cref="BodyException">Its own values cannot be routed.</exception>
    public ClientBody Item(int index)
    {
        ByteEdits edits = new();
        ReadOnlySpan<byte> body = _batch.Utf8.Span;
        edits.Replace(_batch.PromptRange, body[_prompts[index]].ToArray());
        foreach ((string name, (Range value, List<Range> elements)) in _lists) edits.Replace(value, Element(name, body[elements[index]]));
        // The suffix that SGLang itself gives the items of a batch.
        if (!JsonPlaces.IsEmpty(_rid)) edits.Replace(_rid, JsonSerializer.SerializeToUtf8Bytes($"{_batch.Facts.RequestId}_{index}", RouterJson.Default.String));
        return ClientBodyReader.Read(edits.Apply(body), _batch.Facts.Endpoint);
    }

    // The modalities of one prompt are a list again; of a batch each prompt has one word.
    private static byte[] Element(string name, ReadOnlySpan<byte> element) =>
        name == "modalities" && element[0] == '"' ? [(byte)'[', .. element, (byte)']'] : element.ToArray();

    private void FindLists(string[] names)
    {
        ReadOnlySpan<byte> body = _batch.Utf8.Span;
        Utf8JsonReader json = new(body, new JsonReaderOptions { MaxDepth = 512 });
        json.Read();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string? name = null;
            foreach (string one in names)
                if (json.ValueTextEquals(one)) name = one;
            json.Read();
            int start = (int)json.TokenStartIndex;
            bool isList = json.TokenType == JsonTokenType.StartArray, isText = json.TokenType == JsonTokenType.String;
            json.Skip();
            if (name is null) continue;
            Range value = start..(int)json.BytesConsumed;
            // As in the workers' parsers the last one of a repeated key counts.
            _lists.Remove(name);
            if (name == "rid") _rid = isText ? value : default;
            if (isList && JsonPlaces.Elements(body, value) is var elements && IsPerPrompt(name, body, elements)) _lists[name] = (value, elements);
        }
    }

    // A flat list of ids is for every prompt; an empty list of images is none for any.
    private static bool IsPerPrompt(string name, ReadOnlySpan<byte> body, List<Range> elements) => name switch
    {
        "token_ids_logprob" => elements.Count > 0 && body[elements[0].Start.Value] is (byte)'[' or (byte)'n',
        "image_data" or "video_data" or "audio_data" or "modalities" => elements.Count > 0,
        _ => true,
    };
}
