using System.CommandLine;

namespace Baton.Cli.Commands;

/// <summary>Flags of bench_serving that <c>baton bench</c> cannot honour: refused with the reason, and not as typos.</summary>
internal static class BenchServingFlags
{
    private const string NoAdapters = "adapters are not served";
    private const string NoImages = "prompts have text or token ids only";
    private const string ServerProfile = "--profile starts and stops the server's profiler with its own settings";
    private const string OneShape = "use --dataset-name trace for requests of your own";

    /// <summary>Flag, the one value that changes nothing (null: none does), and why.</summary>
    internal static readonly (string Name, string? Harmless, string Why)[] Refused =
    [
        ("--tokenizer", null, "bench has no tokenizer; the server counts tokens"),
        ("--apply-chat-template", null, "the server applies it: use --backend sglang-oai-chat"),
        ("--prompt-suffix", null, OneShape),
        ("--print-requests", null, "--output-details keeps each request in the JSON line"),
        ("--plot-throughput", null, "--html has the charts"),
        ("--cache-report", null, "cached tokens are not part of the report"),
        ("--return-logprob", null, "give it in --extra-request-body"),
        ("--top-logprobs-num", "0", "give it in --extra-request-body"),
        ("--token-ids-logprob", null, "give it in --extra-request-body"),
        ("--logprob-start-len", "-1", "give it in --extra-request-body"),
        ("--return-routed-experts", null, "give it in --extra-request-body"),
        ("--fake-prefill", null, "give bootstrap_host and bootstrap_room in --extra-request-body"),
        ("--flush-cache-timeout", "60", "a server has 60 s to become idle"),
        ("--lora-name", null, NoAdapters),
        ("--lora-request-distribution", "uniform", NoAdapters),
        ("--lora-zipf-alpha", null, NoAdapters),
        ("--image-count", null, NoImages),
        ("--image-resolution", null, NoImages),
        ("--random-image-count", null, NoImages),
        ("--image-format", null, NoImages),
        ("--image-content", null, NoImages),
        ("--profile-activities", null, ServerProfile),
        ("--profile-start-step", null, ServerProfile),
        ("--profile-steps", null, ServerProfile),
        ("--profile-num-steps", null, ServerProfile),
        ("--profile-by-stage", null, ServerProfile),
        ("--profile-stages", null, ServerProfile),
        ("--profile-output-dir", null, ServerProfile),
        ("--profile-prefix", null, ServerProfile),
        ("--gsp-range-ratio", "1", "lengths of generated-shared-prefix are constant"),
        ("--gsp-fast-prepare", null, "preparing takes no statistics"),
        ("--gsp-send-routing-key", null, OneShape),
        ("--gsp-num-turns", "1", "each request is one turn"),
        ("--gsp-ordered", null, OneShape),
        ("--gsp-group-distribution", "uniform", OneShape),
        ("--gsp-zipf-alpha", null, OneShape),
        ("--mooncake-num-rounds", "1", "each request is one turn"),
        ("--mooncake-workload", null, "nothing is downloaded: give the file in --dataset-path"),
        ("--dataset-offset", "0", OneShape),
        ("--agentic-max-turns", null, "each request is one turn"),
        ("--speed-bench-category", null, OneShape),
        ("--speed-bench-output-len", null, OneShape),
    ];

    public static void AddTo(Command command)
    {
        foreach ((string name, string? harmless, string why) in Refused) SglangFlags.Refuse(command, name, harmless, $"{name} is not for baton bench: {why}.");
    }
}
