using System.Text.Json;

namespace Baton.Router.Bodies;

/// <summary>Reads a request body in one forward pass over its UTF-8 bytes.</summary>
public static class ClientBodyReader
{
    // Python's json module gives up near 1000 levels; a tool schema rarely passes 20.
    private static readonly JsonReaderOptions ReaderOptions = new() { MaxDepth = 512 };

    /// <exception cref="BodyException">Not JSON, not an object, an empty batch, or a field of ours with a value that cannot be routed.</exception>
    public static ClientBody Read(ReadOnlyMemory<byte> utf8, DataEndpoint endpoint)
    {
        Pass pass = new(endpoint);
        try
        {
            Utf8JsonReader json = new(utf8.Span, ReaderOptions);
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
                throw new BodyException("invalid_request_body", $"The body of {endpoint.Path} must be a JSON object, and begins with {Kind(json.TokenType)}.");
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName) pass.Member(ref json);
            // Only whitespace may follow the closing brace; Read throws on anything else.
            json.Read();
        }
        catch (JsonException e)
        {
            throw new BodyException("invalid_request_body", $"The body of {endpoint.Path} is not valid JSON: {e.Message}");
        }
        return pass.Finish(utf8);
    }

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.None => "nothing",
        _ => "a literal",
    };

    /// <summary>State of one pass: for a repeated key the last value counts, as in the workers' own parsers.</summary>
    private ref struct Pass(DataEndpoint endpoint)
    {
        private readonly List<Range> _kept = new(4);
        private int _runStart = -1;
        private int _runEnd;
        private int _dropped;
        private string? _model, _rid, _user;
        private bool _stream, _returnLogprob, _logprobs, _echo, _experts, _includeUsage;
        private int _samples = 1, _bestOf = 1, _priority;
        private long? _seed;
        private PromptShape _text, _ids, _prompt, _messages;
        private ClientBody.Marks _marks;

        public void Member(ref Utf8JsonReader json)
        {
            int start = (int)json.TokenStartIndex;
            bool ours = IsOurs(ref json);
            if (!ours) Value(ref json);
            else Ours(ref json);
            Keep(start, (int)json.BytesConsumed, !ours);
        }

        private void Keep(int start, int end, bool keep)
        {
            if (keep)
            {
                if (_runStart < 0) _runStart = start;
                _runEnd = end;
                return;
            }
            if (_runStart >= 0) _kept.Add(_runStart.._runEnd);
            _runStart = -1;
        }

        /// <summary>Dropped, and noted where a rank is asked for.</summary>
        private void Ours(ref Utf8JsonReader json)
        {
            bool routed = json.ValueTextEquals("routed_dp_rank"u8), old = json.ValueTextEquals("data_parallel_rank"u8), prefill = json.ValueTextEquals("disagg_prefill_dp_rank"u8);
            Range value = TakeAny(ref json);
            if (routed) _marks.RoutedRank = value;
            else if (old) _marks.OldRank = value;
            else if (prefill) _marks.PrefillRank = value;
            _dropped++;
        }

        private static bool IsOurs(ref Utf8JsonReader json) =>
            json.ValueTextEquals("bootstrap_room"u8) || json.ValueTextEquals("bootstrap_host"u8) || json.ValueTextEquals("bootstrap_port"u8)
            || json.ValueTextEquals("routed_dp_rank"u8) || json.ValueTextEquals("disagg_prefill_dp_rank"u8) || json.ValueTextEquals("data_parallel_rank"u8);

        private void Value(ref Utf8JsonReader json)
        {
            if (json.ValueTextEquals("model"u8)) (_model, _marks.Model) = (TakeString(ref json), At(ref json));
            else if (json.ValueTextEquals("stream"u8)) _stream = TakeTrue(ref json);
            else if (json.ValueTextEquals("rid"u8)) (_rid, _marks.Rid) = (TakeString(ref json), At(ref json));
            else if (json.ValueTextEquals("user"u8)) _user = TakeString(ref json);
            else if (json.ValueTextEquals("priority"u8)) _priority = (int)Math.Clamp(TakeInteger(ref json) ?? 0, int.MinValue, int.MaxValue);
            else if (json.ValueTextEquals("n"u8) && endpoint != DataEndpoint.Generate) (_samples, _marks.SampleCount) = (TakeCount(ref json, "n"), At(ref json));
            else if (json.ValueTextEquals("best_of"u8)) _bestOf = TakeCount(ref json, "best_of");
            else if (json.ValueTextEquals("seed"u8) && endpoint != DataEndpoint.Generate) (_seed, _marks.Seed) = (TakeInteger(ref json), At(ref json));
            else if (json.ValueTextEquals("return_logprob"u8)) _returnLogprob = TakeAnyTrue(ref json);
            else if (json.ValueTextEquals("return_routed_experts"u8)) _experts = TakeTrue(ref json);
            else if (json.ValueTextEquals("logprobs"u8)) _logprobs = TakePresent(ref json);
            else if (json.ValueTextEquals("echo"u8)) _echo = TakeTrue(ref json);
            else if (json.ValueTextEquals("text"u8)) _text = PromptShape.Take(ref json);
            else if (json.ValueTextEquals("input_ids"u8)) _ids = PromptShape.Take(ref json);
            else if (json.ValueTextEquals("prompt"u8)) _prompt = PromptShape.Take(ref json);
            else if (json.ValueTextEquals("messages"u8)) _messages = PromptShape.Take(ref json);
            else if (json.ValueTextEquals("sampling_params"u8)) SamplingParams(ref json);
            else if (json.ValueTextEquals("tools"u8)) _marks.Tools = TakeAny(ref json);
            else if (json.ValueTextEquals("stream_options"u8)) StreamOptions(ref json);
            else
            {
                json.Read();
                json.Skip();
            }
        }

        /// <summary>The native endpoint keeps <c>n</c> and the seed one level down; a list of objects (one per prompt) is left alone.</summary>
        private void SamplingParams(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                json.Skip();
                return;
            }
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.ValueTextEquals("n"u8) && endpoint == DataEndpoint.Generate)
                    (_samples, _marks.SampleCount) = (TakeCount(ref json, "sampling_params.n"), At(ref json));
                else if (json.ValueTextEquals("sampling_seed"u8) && endpoint == DataEndpoint.Generate)
                    (_seed, _marks.Seed) = (TakeInteger(ref json), At(ref json));
                else
                {
                    json.Read();
                    json.Skip();
                }
            }
        }

        private void StreamOptions(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                json.Skip();
                return;
            }
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                bool usage = json.ValueTextEquals("include_usage"u8);
                bool value = TakeTrue(ref json);
                if (usage) _includeUsage = value;
            }
        }

        public ClientBody Finish(ReadOnlyMemory<byte> utf8)
        {
            Keep(0, 0, keep: false);
            PromptShape shape = endpoint switch
            {
                DataEndpoint.Chat => _messages.AsConversation(),
                DataEndpoint.Completions => _prompt,
                _ => _text.IsPresent ? _text : _ids,
            };
            if (shape is { IsBatch: true, Count: 0 })
                throw new BodyException("empty_batch", $"The prompt list of {endpoint.Path} is empty: send at least one prompt.");
            _marks.Prompt = shape.Start..shape.End;
            RequestFacts facts = new()
            {
                Endpoint = endpoint,
                Model = _model,
                Stream = _stream,
                BatchSize = shape.IsBatch ? shape.Count : 1,
                IsBatch = shape.IsBatch,
                SampleCount = _samples,
                BestOf = _bestOf,
                NeedsInputLogprobs = endpoint == DataEndpoint.Generate ? _returnLogprob : endpoint == DataEndpoint.Completions && _echo && _logprobs,
                NeedsRoutedExperts = _experts,
                PromptTokens = shape.Tokens,
                PromptChars = shape.Chars,
                RequestId = _rid,
                User = _user,
                Priority = _priority,
                Seed = _seed,
                IncludeUsage = _includeUsage,
                DroppedKeys = _dropped,
            };
            return new ClientBody(utf8, facts, _kept, _marks);
        }

        private static Range TakeAny(ref Utf8JsonReader json)
        {
            json.Read();
            int start = (int)json.TokenStartIndex;
            json.Skip();
            return start..(int)json.BytesConsumed;
        }

        private static Range At(ref Utf8JsonReader json) => (int)json.TokenStartIndex..(int)json.BytesConsumed;

        private static string? TakeString(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType == JsonTokenType.String) return json.GetString();
            json.Skip();
            return null;
        }

        private static bool TakeTrue(ref Utf8JsonReader json)
        {
            json.Read();
            bool value = json.TokenType == JsonTokenType.True;
            json.Skip();
            return value;
        }

        /// <summary>True, or a list with a true in it: <c>return_logprob</c> may be given per prompt.</summary>
        private static bool TakeAnyTrue(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType != JsonTokenType.StartArray)
            {
                bool value = json.TokenType == JsonTokenType.True;
                json.Skip();
                return value;
            }
            bool any = false;
            while (json.Read() && json.TokenType != JsonTokenType.EndArray)
            {
                any |= json.TokenType == JsonTokenType.True;
                json.Skip();
            }
            return any;
        }

        /// <summary>Present and neither null nor false: <c>logprobs</c> is a number for completions and a flag for chat.</summary>
        private static bool TakePresent(ref Utf8JsonReader json)
        {
            json.Read();
            bool present = json.TokenType is not (JsonTokenType.Null or JsonTokenType.False);
            json.Skip();
            return present;
        }

        private static long? TakeInteger(ref Utf8JsonReader json)
        {
            json.Read();
            if (json.TokenType == JsonTokenType.Number && json.TryGetInt64(out long value)) return value;
            json.Skip();
            return null;
        }

        private static int TakeCount(ref Utf8JsonReader json, string name)
        {
            json.Read();
            if (json.TokenType == JsonTokenType.Null) return 1;
            if (json.TokenType == JsonTokenType.Number && json.TryGetInt32(out int value) && value is >= 1 and <= 1024) return value;
            throw new BodyException("invalid_request_body", $"{name} must be a whole number from 1 to 1024.");
        }
    }
}
