using System.CommandLine;
using Baton.Bench;
using Baton.Bench.Datasets;
using Baton.Bench.Runs;
using Baton.Cli.Commands;

namespace Baton.Cli.Tests.Commands;

public sealed class BenchOptionsTests
{
    /// <summary>What is typed, where it ends up, and what it must be there.</summary>
    private static readonly (string Typed, Func<BenchSettings, object?> Where, object? Expected)[] Reaches =
    [
        ("--backend vllm", s => (s.Backend.Name, s.BaseUrl.Port), ("vllm", 8000)),
        ("--base-url http://h:7", s => s.BaseUrl, new Uri("http://h:7")),
        ("--base-url https://h --host x --port 9", s => s.BaseUrl, new Uri("https://h")),
        ("--host 0.0.0.0", s => s.BaseUrl, new Uri("http://127.0.0.1:30000")),
        ("--port 31", s => s.BaseUrl, new Uri("http://127.0.0.1:31")),
        ("--host ::1 --port 7", s => s.BaseUrl, new Uri("http://[::1]:7")),
        ("--ready-check-timeout-sec 3", s => s.ReadyTimeout, TimeSpan.FromSeconds(3)),
        ("--model m", s => s.Model, "m"),
        ("--model m --served-model-name n", s => s.Model, "n"),
        ("--header A=b C=d=e", s => string.Join(' ', s.Headers), "[A, b] [C, d=e]"),
        ("--dataset-name random-ids", s => s.Dataset.Name, "random-ids"),
        ("--dataset-path p.json", s => s.Dataset.Path, "p.json"),
        OfDataset("--num-prompts", 3, d => d.NumPrompts),
        OfDataset("--seed", 9, d => d.Seed),
        OfDataset("--sharegpt-output-len", 5, d => d.SharegptOutputLen),
        OfDataset("--sharegpt-context-len", 6, d => d.SharegptContextLen),
        OfDataset("--random-input-len", 7, d => d.RandomInputLen),
        OfDataset("--random-output-len", 8, d => d.RandomOutputLen),
        OfDataset("--random-range-ratio", 0.25, d => d.RandomRangeRatio),
        OfDataset("--gsp-num-groups", 2, d => d.GspNumGroups),
        OfDataset("--gsp-prompts-per-group", 3, d => d.GspPromptsPerGroup),
        OfDataset("--gsp-system-prompt-len", 4, d => d.GspSystemPromptLen),
        OfDataset("--gsp-question-len", 5, d => d.GspQuestionLen),
        OfDataset("--gsp-output-len", 6, d => d.GspOutputLen),
        OfDataset("--vocab-size", 99, d => d.VocabSize),
        ("--request-rate 3.2", s => s.RequestRate, 3.2),
        ("--request-rate inf", s => s.RequestRate, double.PositiveInfinity),
        ("--max-concurrency 4", s => s.MaxConcurrency, 4),
        ("--use-trace-timestamps", s => s.UseTraceTimestamps, true),
        ("--dataset-name trace", s => s.UseTraceTimestamps, true),
        ("--dataset-name trace --request-rate 2", s => s.UseTraceTimestamps, false),
        ("--mooncake-slowdown-factor 2.5", s => s.TraceSlowdown, 2.5),
        ("--warmup-requests 0", s => s.WarmupRequests, 0),
        ("--disable-stream", s => s.Stream, false),
        ("--disable-ignore-eos", s => s.IgnoreEos, false),
        ("--extra-request-body {\"a\":1}", s => s.ExtraRequestBody!.ToJsonString(), "{\"a\":1}"),
        ("--flush-cache", s => s.FlushCache, true),
        ("--output-details", s => s.KeepDetails, true),
        ("--tag t", s => s.Tag, "t"),
        ("--tokenize-prompt", s => s.Dataset.TokenizePrompt, true),
        ("--temperature 0.5", s => s.Temperature, 0.5),
        ("--top-p 0.9", s => s.TopP, 0.9),
        ("--api-key k", s => s.Authorization, "Bearer k"),
        ("--request-timeout 1.5", s => s.RequestTimeout, TimeSpan.FromSeconds(1.5)),
        ("--slo-ttft 2s", s => s.Goals.Ttft, TimeSpan.FromSeconds(2)),
        ("--slo-itl 50ms", s => s.Goals.Itl, TimeSpan.FromMilliseconds(50)),
        ("--slo-itl 50", s => s.Goals.Itl, TimeSpan.FromMilliseconds(50)),
        ("--profile", s => string.Join(' ', s.ProfileUrls), "http://127.0.0.1:30000/"),
        ("--profile --pd-separated --profile-prefill-url http://p:1 --profile-decode-url http://d:2", s => string.Join(' ', s.ProfileUrls), "http://p:1/ http://d:2/"),
    ];

    /// <summary>A number of the dataset: typed and expected is the same.</summary>
    private static (string Typed, Func<BenchSettings, object?> Where, object? Expected) OfDataset(string flag, object value, Func<DatasetOptions, object?> where) =>
        ($"{flag} {value}", s => where(s.Dataset), value);

    // Read by the command itself and not part of the run's settings.
    private static readonly string[] Outputs = ["--output-file", "--html", "--disable-tqdm"];

    public static TheoryData<string> Typed => [.. Reaches.Select(row => row.Typed)];

    [Theory]
    [MemberData(nameof(Typed))]
    public void Each_flag_reaches_the_run(string typed)
    {
        (_, Func<BenchSettings, object?> where, object? expected) = Reaches.Single(row => row.Typed == typed);

        Assert.Equal(expected, where(Bind(typed)));
    }

    [Fact]
    public void No_flag_is_left_out_of_these_tests()
    {
        IEnumerable<string> flags = CommandWith(new BenchOptions()).Options.Where(option => !option.Hidden).Select(option => option.Name);

        Assert.Empty(flags.Except(Reaches.SelectMany(row => row.Typed.Split(' '))).Except(Outputs));
    }

    [Theory]
    [InlineData("--num-prompts 0", "--num-prompts 0: give 1 or more")]
    [InlineData("--num-prompts x", "--num-prompts")]
    [InlineData("--random-input-len -1", "--random-input-len -1")]
    [InlineData("--random-range-ratio 1.1", "--random-range-ratio 1.1: give a share from 0 to 1")]
    [InlineData("--random-range-ratio NaN", "--random-range-ratio NaN")]
    [InlineData("--vocab-size 1", "--vocab-size 1: give 2 or more")]
    [InlineData("--max-concurrency 0", "--max-concurrency 0: give 1 or more")]
    [InlineData("--warmup-requests -1", "--warmup-requests -1: give 0 or more")]
    [InlineData("--mooncake-slowdown-factor 0", "--mooncake-slowdown-factor 0: give a number above 0")]
    [InlineData("--request-timeout 0", "--request-timeout 0: give a number above 0")]
    [InlineData("--request-rate 0", "--request-rate 0: give requests per second above 0, or inf")]
    [InlineData("--request-rate fast", "--request-rate fast")]
    [InlineData("--ready-check-timeout-sec -1", "--ready-check-timeout-sec -1: give 0 or more")]
    [InlineData("--header A", "--header A: give Name=Value")]
    [InlineData("--top-p 0", "--top-p 0: give a share above 0")]
    [InlineData("--temperature -1", "--temperature -1: give 0 or more")]
    [InlineData("--backend vllm-chat --tokenize-prompt", "--tokenize-prompt: the chat API takes no token ids")]
    [InlineData("--tokenizer t", "--tokenizer is not for baton bench: bench has no tokenizer")]
    [InlineData("--mooncake-num-rounds 2", "--mooncake-num-rounds is not for baton bench")]
    [InlineData("--slo-ttft soon", "soon: give a duration such as 2s or 50ms")]
    [InlineData("--base-url localhost:30000", "--base-url localhost:30000: an absolute http or https URL is needed")]
    [InlineData("--extra-request-body [1]", "--extra-request-body [1]: a JSON object is needed")]
    [InlineData("--extra-request-body {", "--extra-request-body {")]
    [InlineData("--profile-prefill-url http://p:1", "need --profile")]
    [InlineData("--profile --profile-prefill-url http://p:1", "need --pd-separated")]
    [InlineData("--profile --pd-separated", "needs --profile-prefill-url or --profile-decode-url")]
    [InlineData("--no-such-flag", "--no-such-flag")]
    public void A_value_that_makes_no_sense_is_refused_by_its_flags_name(string typed, string says)
    {
        Assert.Contains(says, Refusal(typed), StringComparison.Ordinal);
    }

    [Fact]
    public void A_flag_of_bench_serving_that_would_change_nothing_is_taken()
    {
        Assert.Empty(CommandWith(new BenchOptions()).Parse("--mooncake-num-rounds 1 --gsp-group-distribution uniform --logprob-start-len -1".Split(' ')).Errors);
    }

    [Fact]
    public void Every_flag_of_bench_serving_is_known()
    {
        // The newest bench_serving's parser, in its order.
        string[] flags = """
            --backend --base-url --host --port --ready-check-timeout-sec --dataset-name --dataset-path --dataset-offset --agentic-max-turns
            --speed-bench-category --speed-bench-output-len --model --served-model-name --tokenizer --num-prompts --sharegpt-output-len
            --sharegpt-context-len --random-input-len --random-output-len --random-range-ratio --image-count --image-resolution --random-image-count
            --image-format --image-content --request-rate --use-trace-timestamps --max-concurrency --output-file --output-details --print-requests
            --disable-tqdm --disable-stream --return-logprob --top-logprobs-num --token-ids-logprob --logprob-start-len --return-routed-experts
            --cache-report --seed --disable-ignore-eos --temperature --top-p --extra-request-body --apply-chat-template --profile --plot-throughput
            --profile-activities --profile-start-step --profile-steps --profile-num-steps --profile-by-stage --profile-stages --profile-output-dir
            --profile-prefix --lora-name --lora-request-distribution --lora-zipf-alpha --prompt-suffix --pd-separated --profile-prefill-url
            --profile-decode-url --flush-cache --flush-cache-timeout --warmup-requests --tokenize-prompt --gsp-num-groups --gsp-prompts-per-group
            --gsp-system-prompt-len --gsp-question-len --gsp-output-len --gsp-range-ratio --gsp-fast-prepare --gsp-send-routing-key --gsp-num-turns
            --gsp-ordered --gsp-group-distribution --gsp-zipf-alpha --mooncake-slowdown-factor --mooncake-num-rounds --mooncake-workload
            --fake-prefill --tag --header
            """.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

        Assert.Empty(flags.Except(CommandWith(new BenchOptions()).Options.Select(option => option.Name)));
    }

    [Theory]
    [InlineData("isolation", "--num-prompts 3")]
    [InlineData("isolation", "--request-rate 3")]
    [InlineData("isolation", "--disable-stream")]
    [InlineData("compare", "--a http://a --b http://b --base-url http://c")]
    [InlineData("compare", "--a http://a --b http://b --use-trace-timestamps")]
    [InlineData("sweep", "--rates 1,2 --use-trace-timestamps")]
    public void A_subcommand_refuses_what_it_would_ignore(string name, string typed)
    {
        Command command = BenchCommand.Create(TimeProvider.System).Subcommands.Single(one => one.Name == name);

        Assert.NotEmpty(command.Parse(typed.Split(' ')).Errors);
    }

    [Theory]
    [InlineData("--rates 1,2 --request-rate 3", "--request-rate has no meaning beside --rates")]
    [InlineData("--concurrencies 1,2 --max-concurrency 3", "--max-concurrency has no meaning beside --concurrencies")]
    [InlineData("--concurrencies 1,2.5", "'2.5' is no load")]
    [InlineData("--rates 1,-2", "'-2' is no load")]
    [InlineData("--rates 1 --concurrencies 1", "Give either --rates or --concurrencies")]
    [InlineData("--num-prompts 2", "Give either --rates or --concurrencies")]
    public void A_sweep_says_what_is_wrong_with_its_loads(string typed, string says)
    {
        BenchSweepCommand sweep = new();

        BenchException wrong = Assert.Throws<BenchException>(() => sweep.Loads(sweep.Command.Parse(typed.Split(' '))));

        Assert.Contains(says, wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sweep_takes_rates_with_infinity_or_whole_numbers_of_requests_at_once()
    {
        BenchSweepCommand sweep = new();

        (SweepAxis Axis, double[] Loads) rates = sweep.Loads(sweep.Command.Parse(["--rates", "1,2.5,inf"]));
        (SweepAxis Axis, double[] Loads) limits = sweep.Loads(sweep.Command.Parse(["--concurrencies", "1,8", "--request-rate", "5"]));

        Assert.Equal((SweepAxis.RequestRate, SweepAxis.MaxConcurrency), (rates.Axis, limits.Axis));
        Assert.Equal([1, 2.5, double.PositiveInfinity], rates.Loads);
        Assert.Equal([1, 8], limits.Loads);
    }

    private static BenchSettings Bind(string typed)
    {
        BenchOptions options = new();
        ParseResult parsed = CommandWith(options).Parse(typed.Split(' '));
        Assert.Empty(parsed.Errors);
        return options.Bind(parsed);
    }

    private static string Refusal(string typed)
    {
        BenchOptions options = new();
        ParseResult parsed = CommandWith(options).Parse(typed.Split(' '));
        return parsed.Errors.Count > 0
            ? string.Join(' ', parsed.Errors.Select(error => error.Message))
            : Assert.Throws<BenchException>(() => options.Bind(parsed)).Message;
    }

    private static Command CommandWith(BenchOptions options)
    {
        Command command = new("bench");
        options.AddTo(command);
        return command;
    }
}
