using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Baton.Bench;
using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Runs;

namespace Baton.Cli.Commands;

/// <summary>The options of <c>baton bench</c>: bench_serving's names and meanings, and Baton's own behind them.</summary>
internal sealed class BenchOptions
{
    /// <summary>Left out where the command names its servers otherwise.</summary>
    public static readonly string[] Servers = ["--base-url", "--host", "--port"];
    /// <summary>Left out where the command makes its own arrival times.</summary>
    public static readonly string[] TraceTimes = ["--use-trace-timestamps", "--mooncake-slowdown-factor"];
    /// <summary>Left out where there is no block and no JSON line of one run.</summary>
    public static readonly string[] OneRun = ["--output-details", "--slo-ttft", "--slo-itl", "--pd-separated", "--profile", "--profile-prefill-url", "--profile-decode-url"];
    /// <summary>Left out where the command makes its own requests.</summary>
    public static readonly string[] Requests =
    [
        "--dataset-name", "--dataset-path", "--num-prompts", "--sharegpt-output-len", "--sharegpt-context-len", "--random-input-len", "--random-output-len", "--random-range-ratio",
        "--gsp-num-groups", "--gsp-prompts-per-group", "--gsp-system-prompt-len", "--gsp-question-len", "--gsp-output-len", "--request-rate", "--max-concurrency",
        "--tokenize-prompt", "--flush-cache", "--disable-stream", "--disable-ignore-eos", "--tag", "--disable-tqdm",
    ];
    private static readonly DatasetOptions Dataset = new();
    private readonly HashSet<string> _without;
    private readonly List<Option> _all = [];
    private readonly Option<string> _backend;
    private readonly Option<string?> _baseUrl;
    private readonly Option<string> _host;
    private readonly Option<int?> _port;
    private readonly Option<int> _readyTimeout;
    private readonly Option<string?> _model;
    private readonly Option<string?> _servedModelName;
    private readonly Option<string[]> _header;
    private readonly Option<bool> _tokenizePrompt;
    private readonly Option<double> _temperature;
    private readonly Option<double> _topP;
    private readonly Option<string> _datasetName;
    private readonly Option<string?> _datasetPath;
    private readonly Option<int> _numPrompts;
    private readonly Option<int> _seed;
    private readonly Option<int?> _sharegptOutputLen;
    private readonly Option<int?> _sharegptContextLen;
    private readonly Option<int> _randomInputLen;
    private readonly Option<int> _randomOutputLen;
    private readonly Option<double> _randomRangeRatio;
    private readonly Option<int> _gspNumGroups;
    private readonly Option<int> _gspPromptsPerGroup;
    private readonly Option<int> _gspSystemPromptLen;
    private readonly Option<int> _gspQuestionLen;
    private readonly Option<int> _gspOutputLen;
    private readonly Option<int> _vocabSize;
    private readonly Option<double> _requestRate;
    private readonly Option<int?> _maxConcurrency;
    private readonly Option<bool> _useTraceTimestamps;
    private readonly Option<double> _slowdown;
    private readonly Option<int> _warmupRequests;
    private readonly Option<bool> _disableStream;
    private readonly Option<bool> _disableIgnoreEos;
    private readonly Option<string?> _extraRequestBody;
    private readonly Option<bool> _flushCache;
    private readonly Option<bool> _outputDetails;
    private readonly Option<string?> _tag;
    private readonly Option<string?> _apiKey;
    private readonly Option<double> _requestTimeout;
    private readonly Option<TimeSpan?> _sloTtft;
    private readonly Option<TimeSpan?> _sloItl;
    private readonly Option<bool> _profile;
    private readonly Option<string[]> _profilePrefillUrl;
    private readonly Option<string[]> _profileDecodeUrl;

    /// <param name="without">Options that mean nothing to the command: it refuses them instead of ignoring them.</param>
    public BenchOptions(params IEnumerable<string>[] without)
    {
        _without = [.. without.SelectMany(names => names)];
        _backend = Add("--backend", "sglang", "Which API to speak.");
        _backend.Among([.. BenchBackend.All.Select(backend => backend.Name)]);
        _baseUrl = Add<string?>("--base-url", null, "Server or router, such as http://127.0.0.1:30000. Wins over --host and --port.");
        _host = Add("--host", "127.0.0.1", "Host of the server.");
        _port = Add<int?>("--port", null, "Port of the server; the backend's usual one when left out.");
        _readyTimeout = Add("--ready-check-timeout-sec", 60, "Seconds to wait for a server that is starting; 0 does not look.");
        _model = Add<string?>("--model", null, "Model name to send; the first of /v1/models when left out.");
        _servedModelName = Add<string?>("--served-model-name", null, "Model name to send, when --model names something else.");
        _header = Add<string[]>("--header", [], "HTTP headers for each request, as Name=Value.");
        _header.AllowMultipleArgumentsPerToken = true;
        _datasetName = Add("--dataset-name", Dataset.Name,
            "Nothing is downloaded: 'random' cuts prompts from --dataset-path (ShareGPT JSON) and makes up text without it; 'random-ids' sends token ids of exact lengths; 'sharegpt' and 'trace' need --dataset-path.");
        _datasetName.Among([.. DatasetReader.Names]);
        _datasetPath = Add<string?>("--dataset-path", null, "ShareGPT JSON, or for 'trace' JSON lines with timestamp (ms), input_length, output_length and optional hash_ids.");
        _numPrompts = Add("--num-prompts", Dataset.NumPrompts, "Number of requests.");
        _seed = Add("--seed", Dataset.Seed, "Draws lengths, prompts and arrival times.");
        _sharegptOutputLen = Add<int?>("--sharegpt-output-len", null, "Output length for each request instead of the conversation's own.");
        _sharegptContextLen = Add<int?>("--sharegpt-context-len", null, "Drops conversations longer than this.");
        _randomInputLen = Add("--random-input-len", Dataset.RandomInputLen, "Longest prompt in tokens.");
        _randomOutputLen = Add("--random-output-len", Dataset.RandomOutputLen, "Longest output in tokens.");
        _randomRangeRatio = Add("--random-range-ratio", Dataset.RandomRangeRatio, "Lengths are uniform in [length x ratio, length]; 1 makes them constant.");
        _gspNumGroups = Add("--gsp-num-groups", Dataset.GspNumGroups, "generated-shared-prefix: groups that share a system prompt.");
        _gspPromptsPerGroup = Add("--gsp-prompts-per-group", Dataset.GspPromptsPerGroup, "generated-shared-prefix: prompts of a group.");
        _gspSystemPromptLen = Add("--gsp-system-prompt-len", Dataset.GspSystemPromptLen, "generated-shared-prefix: tokens of the system prompt.");
        _gspQuestionLen = Add("--gsp-question-len", Dataset.GspQuestionLen, "generated-shared-prefix: tokens of the question.");
        _gspOutputLen = Add("--gsp-output-len", Dataset.GspOutputLen, "generated-shared-prefix: output tokens.");
        _vocabSize = Add("--vocab-size", Dataset.VocabSize, "random-ids and trace draw token ids below it.");
        _requestRate = Add("--request-rate", double.PositiveInfinity, "Requests per second, Poisson; 'inf' sends all at once.", ParseRate);
        _maxConcurrency = Add<int?>("--max-concurrency", null, "Requests under way at once. The wait for it is reported apart from TTFT.");
        _useTraceTimestamps = Add("--use-trace-timestamps", false, "Send at the dataset's own times. Implied for 'trace' without --request-rate.");
        _slowdown = Add("--mooncake-slowdown-factor", 1.0, "Stretches the trace's times.");
        _warmupRequests = Add("--warmup-requests", 1, "Copies of the first request that are sent before the clock starts, at most --max-concurrency at once.");
        _disableStream = Add("--disable-stream", false, "Ask for whole responses; TTFT is then the latency.");
        _disableIgnoreEos = Add("--disable-ignore-eos", false, "Let the model end its answers.");
        _tokenizePrompt = Add("--tokenize-prompt", false, "Send token ids of exact lengths instead of text; random-ids always does.");
        _temperature = Add("--temperature", 0.0, "Sampling temperature.");
        _topP = Add("--top-p", 1.0, "Nucleus sampling.");
        _extraRequestBody = Add<string?>("--extra-request-body", null, "JSON object merged into each request.");
        _flushCache = Add("--flush-cache", false, "Empty the server's prefix cache after the warm-up; the run ends if it cannot.");
        _outputDetails = Add("--output-details", false, "Keep each request's lengths, times, text and error in the JSON line.");
        _tag = Add<string?>("--tag", null, "Text for the JSON line's 'tag'.");
        _apiKey = Add<string?>("--api-key", null, "Sent as a bearer token; OPENAI_API_KEY when left out, then API_KEY as the whole Authorization header.");
        _requestTimeout = Add("--request-timeout", 600.0, "Seconds from POST to last byte before a request counts as failed.");
        _sloTtft = Add<TimeSpan?>("--slo-ttft", null, "Goodput counts requests with a TTFT of at most this, such as 2s or 500ms.", ParseDuration);
        _sloItl = Add<TimeSpan?>("--slo-itl", null, "Goodput counts requests with no gap between tokens over this, such as 50ms.", ParseDuration);
        PdSeparated = Add("--pd-separated", false, "Prefill and decode are separate workers: --profile goes to the worker URLs, and it is said when responses name no rank.");
        _profile = Add("--profile", false, "POST /start_profile before and /stop_profile after the run.");
        _profilePrefillUrl = Add<string[]>("--profile-prefill-url", [], "Prefill workers to profile with --pd-separated.");
        _profileDecodeUrl = Add<string[]>("--profile-decode-url", [], "Decode workers to profile with --pd-separated.");
        OutputFile = Add<string?>("--output-file", null, "JSON lines file to append to; <backend>_<MMDD>_<num>_<in>_<out>.jsonl when left out.");
        Html = Add<string?>("--html", null, "Also writes one self-contained HTML page with charts.");
        DisableTqdm = Add("--disable-tqdm", false, "No progress bar.");
        _profilePrefillUrl.AllowMultipleArgumentsPerToken = true;
        _profileDecodeUrl.AllowMultipleArgumentsPerToken = true;
    }

    public Option<bool> PdSeparated { get; }
    public Option<string?> OutputFile { get; }
    public Option<string?> Html { get; }
    public Option<bool> DisableTqdm { get; }

    public void AddTo(Command command)
    {
        foreach (Option option in _all) command.Options.Add(option);
        BenchServingFlags.AddTo(command);
    }

    public bool GivesRate(ParseResult parsed) => IsGiven(parsed, _requestRate);

    public bool GivesConcurrency(ParseResult parsed) => IsGiven(parsed, _maxConcurrency);

    /// <exception cref="BenchException">The value is below <paramref name="least"/>.</exception>
    public static T AtLeast<T>(T least, ParseResult parsed, Option<T> option) where T : struct, IComparable<T> => AtLeast(least, option.Name, parsed.GetValue(option));

    private static T AtLeast<T>(T least, string name, T value) where T : struct, IComparable<T> =>
        value.CompareTo(least) >= 0 ? value : throw new BenchException($"{name} {value}: give {least} or more.");

    private static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private T? Value<T>(ParseResult parsed, Option<T> option) => _all.Contains(option) ? parsed.GetValue(option) : (T?)option.GetDefaultValue();

    private T AtLeastOrDefault<T>(T least, ParseResult parsed, Option<T> option) where T : struct, IComparable<T> => AtLeast(least, option.Name, Value(parsed, option));

    private T? AtLeastOrNone<T>(T least, ParseResult parsed, Option<T?> option) where T : struct, IComparable<T> =>
        Value(parsed, option) is { } value ? AtLeast(least, option.Name, value) : null;

    /// <exception cref="BenchException">A value makes no sense; the message names the option.</exception>
    public BenchSettings Bind(ParseResult parsed)
    {
        BenchBackend backend = BenchBackend.Parse(Value(parsed, _backend)!);
        string host = Value(parsed, _host)!;
        if (host == "0.0.0.0") host = "127.0.0.1";
        // An IPv6 address needs brackets before a port.
        if (host.Contains(':') && !host.StartsWith('[')) host = $"[{host}]";
        string url = Value(parsed, _baseUrl) ?? $"http://{host}:{Value(parsed, _port) ?? backend.DefaultPort}";
        bool isTrace = Value(parsed, _datasetName) is "trace" or "mooncake";
        return new BenchSettings
        {
            Backend = backend,
            BaseUrl = ParseUrl("--base-url", url),
            Dataset = BindDataset(parsed),
            RequestRate = Value(parsed, _requestRate),
            UseTraceTimestamps = Value(parsed, _useTraceTimestamps) || (isTrace && _all.Contains(_useTraceTimestamps) && !IsGiven(parsed, _requestRate)),
            TraceSlowdown = Above0("--mooncake-slowdown-factor", Value(parsed, _slowdown)),
            MaxConcurrency = AtLeastOrNone(1, parsed, _maxConcurrency),
            WarmupRequests = AtLeastOrDefault(0, parsed, _warmupRequests),
            Stream = !Value(parsed, _disableStream),
            IgnoreEos = !Value(parsed, _disableIgnoreEos),
            ExtraRequestBody = ParseExtra(Value(parsed, _extraRequestBody)),
            ReadyTimeout = TimeSpan.FromSeconds(AtLeastOrDefault(0, parsed, _readyTimeout)),
            Model = Value(parsed, _servedModelName) ?? Value(parsed, _model),
            Authorization = Authorize(Value(parsed, _apiKey)),
            Headers = [.. Value(parsed, _header)!.Select(ParseHeader)],
            Temperature = AtLeastOrDefault(0, parsed, _temperature),
            TopP = Value(parsed, _topP) is > 0 and <= 1 and double topP ? topP : throw new BenchException($"--top-p {Value(parsed, _topP)}: give a share above 0, up to 1."),
            FlushCache = Value(parsed, _flushCache),
            KeepDetails = Value(parsed, _outputDetails),
            Tag = Value(parsed, _tag),
            RequestTimeout = TimeSpan.FromSeconds(Above0("--request-timeout", Value(parsed, _requestTimeout))),
            Goals = new ServiceGoals(Value(parsed, _sloTtft), Value(parsed, _sloItl)),
            ProfileUrls = BindProfileUrls(parsed, url),
        };
    }

    public static Uri ParseUrl(string option, string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https"
            ? url
            : throw new BenchException($"{option} {text}: an absolute http or https URL is needed, such as http://127.0.0.1:30000.");

    private static double Above0(string name, double value) => value > 0 && double.IsFinite(value) ? value : throw new BenchException($"{name} {value}: give a number above 0.");

    private DatasetOptions BindDataset(ParseResult parsed) => new()
    {
        Name = Value(parsed, _datasetName)!,
        Path = Value(parsed, _datasetPath),
        NumPrompts = AtLeastOrDefault(1, parsed, _numPrompts),
        Seed = Value(parsed, _seed),
        RandomInputLen = AtLeastOrDefault(1, parsed, _randomInputLen),
        RandomOutputLen = AtLeastOrDefault(1, parsed, _randomOutputLen),
        RandomRangeRatio = Value(parsed, _randomRangeRatio) is >= 0 and <= 1 and double ratio ? ratio : throw new BenchException($"--random-range-ratio {Value(parsed, _randomRangeRatio)}: give a share from 0 to 1."),
        SharegptOutputLen = AtLeastOrNone(1, parsed, _sharegptOutputLen),
        SharegptContextLen = AtLeastOrNone(1, parsed, _sharegptContextLen),
        GspNumGroups = AtLeastOrDefault(1, parsed, _gspNumGroups),
        GspPromptsPerGroup = AtLeastOrDefault(1, parsed, _gspPromptsPerGroup),
        GspSystemPromptLen = AtLeastOrDefault(0, parsed, _gspSystemPromptLen),
        GspQuestionLen = AtLeastOrDefault(1, parsed, _gspQuestionLen),
        GspOutputLen = AtLeastOrDefault(1, parsed, _gspOutputLen),
        VocabSize = AtLeastOrDefault(2, parsed, _vocabSize),
        TokenizePrompt = Value(parsed, _tokenizePrompt) && BenchBackend.Parse(Value(parsed, _backend)!).Api == BenchApi.Chat
            ? throw new BenchException("--tokenize-prompt: the chat API takes no token ids. Use another --backend.") : Value(parsed, _tokenizePrompt),
    };

    private Uri[] BindProfileUrls(ParseResult parsed, string baseUrl)
    {
        string[] workers = [.. Value(parsed, _profilePrefillUrl)!, .. Value(parsed, _profileDecodeUrl)!];
        if (!Value(parsed, _profile))
            return workers.Length == 0 ? [] : throw new BenchException("--profile-prefill-url and --profile-decode-url need --profile.");
        if (!Value(parsed, PdSeparated))
            return workers.Length == 0 ? [ParseUrl("--base-url", baseUrl)] : throw new BenchException("--profile-prefill-url and --profile-decode-url need --pd-separated.");
        if (workers.Length == 0) throw new BenchException("--profile with --pd-separated needs --profile-prefill-url or --profile-decode-url.");
        return [.. workers.Select(worker => ParseUrl("--profile-…-url", worker))];
    }

    /// <summary>As bench_serving: a key becomes a bearer token, and API_KEY is the whole header.</summary>
    private static string? Authorize(string? key)
    {
        key ??= Environment.GetEnvironmentVariable("OPENAI_API_KEY");
        return string.IsNullOrEmpty(key) ? Environment.GetEnvironmentVariable("API_KEY") : $"Bearer {key}";
    }

    private static KeyValuePair<string, string> ParseHeader(string text) =>
        text.IndexOf('=') is > 0 and int at ? new(text[..at].Trim(), text[(at + 1)..].Trim()) : throw new BenchException($"--header {text}: give Name=Value.");

    private static JsonObject? ParseExtra(string? text)
    {
        if (text is null) return null;
        try
        {
            return JsonNode.Parse(text) as JsonObject ?? throw new BenchException($"--extra-request-body {text}: a JSON object is needed.");
        }
        catch (JsonException broken)
        {
            throw new BenchException($"--extra-request-body {text}: {broken.Message}", broken);
        }
    }

    private static double ParseRate(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        if (text is "inf" or "Infinity") return double.PositiveInfinity;
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double rate) && rate > 0) return rate;
        argument.AddError($"--request-rate {text}: give requests per second above 0, or inf.");
        return 0;
    }

    private static TimeSpan? ParseDuration(ArgumentResult argument) => OptionText.Duration(argument);

    private Option<T> Add<T>(string name, T fallback, string description, Func<ArgumentResult, T>? parse = null)
    {
        Option<T> option = new(name) { Description = description, DefaultValueFactory = _ => fallback };
        if (parse is not null) option.CustomParser = parse;
        if (!_without.Contains(name)) _all.Add(option);
        return option;
    }
}
