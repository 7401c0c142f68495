using System.CommandLine;

namespace Baton.Cli.Commands;

/// <summary>Flags of SGLang's server and router that Baton cannot honour. They are known, so that they are refused with the reason and not as typos.</summary>
internal static class SglangFlags
{
    private const string OneProcess = "a Baton rank is one context in one process";
    private const string NoCache = "there is no prefix cache";

    /// <summary>Flag, the one value that changes nothing (null: none does), and why.</summary>
    public static readonly IReadOnlyList<(string Name, string? Harmless, string Why)> OfServer =
    [
        ("--tp-size", "1", $"{OneProcess}; llama.cpp spreads layers over the GPUs it sees (--gpu-layers)"),
        ("--tensor-parallel-size", "1", $"{OneProcess}; llama.cpp spreads layers over the GPUs it sees (--gpu-layers)"),
        ("--pp-size", "1", OneProcess),
        ("--ep-size", "1", OneProcess),
        ("--nnodes", "1", "a Baton worker lives on one machine; start one worker on each and list them at the router"),
        ("--node-rank", "0", "a Baton worker lives on one machine; start one worker on each and list them at the router"),
        ("--dist-init-addr", null, "a Baton worker lives on one machine; start one worker on each and list them at the router"),
        ("--enable-dp-attention", null, "each dp rank has the whole model; use --dp-size alone"),
        ("--mem-fraction-static", null, "KV memory is set in tokens: --max-total-tokens"),
        ("--page-size", "1", "llama.cpp places single tokens, so the page size is 1"),
        ("--quantization", null, "the quantization is the GGUF file's own"),
        ("--dtype", "auto", "the type is the GGUF file's own"),
        ("--load-format", null, "only GGUF files are loaded"),
        ("--tokenizer-path", null, "the tokenizer is the GGUF file's own"),
        ("--trust-remote-code", null, "no code is loaded with a model"),
        ("--schedule-policy", "fcfs", "requests are served first come, first served, within their priority"),
        ("--disable-radix-cache", null, NoCache),
        ("--disaggregation-decode-enable-radix-cache", null, NoCache),
        ("--disaggregation-decode-enable-offload-kvcache", null, "KV cells are not offloaded"),
        ("--disaggregation-ib-device", null, "KV travels over TCP"),
        ("--disaggregation-decode-polling-interval", "1", "nothing is polled: links and the resolver wake the rank"),
        ("--optimistic-prefill-attempts", null, "prompts are always computed optimistically while decode reserves its cells"),
        ("--speculative-algorithm", null, "speculative decoding is not there"),
        ("--lora-paths", null, "adapters are not served"),
        ("--reasoning-parser", null, "answers are returned as they are"),
        ("--tool-call-parser", null, "tools are not served"),
    ];

    public static readonly IReadOnlyList<(string Name, string? Harmless, string Why)> OfRouter =
    [
        ("--least-load-mean-prefill-tokens", null, "a prompt's length is always known here"),
    ];

    public static void AddTo(Command command, IReadOnlyList<(string Name, string? Harmless, string Why)> refused)
    {
        foreach ((string name, string? harmless, string why) in refused) Refuse(command, name, harmless, $"{name} is not served: {why}.");
    }

    /// <summary>A hidden option that is an error, unless it has the one value that changes nothing.</summary>
    internal static void Refuse(Command command, string name, string? harmless, string error)
    {
        Option<string[]> option = new(name) { Hidden = true, Arity = ArgumentArity.ZeroOrMore, AllowMultipleArgumentsPerToken = true };
        option.Validators.Add(given =>
        {
            if (harmless is null || given.Tokens.Count != 1 || given.Tokens[0].Value != harmless) given.AddError(error);
        });
        command.Add(option);
    }
}
