using System.CommandLine;
using Baton.Core.Ids;
using Baton.Router.Discovery;
using Baton.Router.Workers;

namespace Baton.Cli.Commands;

/// <summary>The flags that say which workers a router has when it starts, and in which cluster it looks for more.</summary>
internal sealed class RouterWorkerFlags
{
    private readonly Option<List<WorkerSpec>> _prefill;
    private readonly Option<string[]> _decode, _unified, _selector, _prefillSelector, _decodeSelector;
    private readonly Option<int> _discoveryPort;
    private readonly Option<string?> _workerApiKey, _discoveryNamespace;
    private readonly Option<bool> _inheritKey, _pdDisaggregation, _discovery;

    public RouterWorkerFlags(RouterFlagList flags)
    {
        _pdDisaggregation = flags.Switch("--pd-disaggregation", "Prefill and decode on separate workers. Any --prefill implies it; without one this is an error.");
        _prefill = flags.Add(new Option<List<WorkerSpec>>("--prefill")
        {
            Description = "A prefill worker: URL [BOOTSTRAP_PORT|none]. Repeatable.",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = true,
            CustomParser = RouterFlagText.ParsePrefills,
        });
        _decode = flags.Texts("--decode", "A decode worker's URL. Repeatable.", severalPerFlag: true);
        _unified = flags.Texts("--worker", "A unified worker's URL (both phases in one place). Repeatable.", severalPerFlag: true);
        flags.Text("--workers-file", "List of workers (url, worker_type, bootstrap_port, ...) as JSON, or as YAML in a .yaml or .yml file; read again when it changes.", o => o.WorkersFile, (o, v) => o with { WorkersFile = v });
        _discovery = flags.Switch("--service-discovery", "Take ready pods of the Kubernetes cluster around this router as workers, by their labels.");
        _selector = flags.Texts("--selector", "Labels of pods that do both phases: KEY=VALUE ...", severalPerFlag: true);
        _prefillSelector = flags.Texts("--prefill-selector", "Labels of prefill pods: KEY=VALUE ...", severalPerFlag: true);
        _decodeSelector = flags.Texts("--decode-selector", "Labels of decode pods: KEY=VALUE ...", severalPerFlag: true);
        _discoveryPort = flags.Number("--service-discovery-port", "Port of pods that name none by smg.ai/worker-ports.", 1, 65535, _ => 80, (o, _) => o);
        _discoveryNamespace = flags.Text("--service-discovery-namespace", "Namespace of the pods. Default: all.", _ => null, (o, _) => o);
        _workerApiKey = flags.Add(new Option<string?>("--worker-api-key") { Description = "Bearer key of the workers given on the command line." });
        _inheritKey = flags.Switch("--inherit-key", "Workers given on the command line have the router's first --api-key.");
    }

    /// <summary>Null without selectors.</summary>
    /// <exception cref="FormatException">Flags that need each other, or the process runs in no cluster.</exception>
    public DiscoveryOptions? Discovery(ParseResult parse)
    {
        Dictionary<string, string>[] selectors = [.. new[] { _selector, _prefillSelector, _decodeSelector }.Select(flag => RouterFlagText.Labels(flag.Name, parse.GetValue(flag) ?? []))];
        bool isAny = selectors.Any(s => s.Count > 0);
        if (parse.GetValue(_discovery) != isAny) throw new FormatException("--service-discovery needs --selector, or --prefill-selector and --decode-selector, and they need it.");
        if (!isAny) return null;
        return DiscoveryOptions.InCluster(Environment.GetEnvironmentVariable) with
        {
            Selector = selectors[0],
            PrefillSelector = selectors[1],
            DecodeSelector = selectors[2],
            Port = parse.GetValue(_discoveryPort),
            Namespace = parse.GetValue(_discoveryNamespace),
        };
    }

    /// <param name="keys">The router's own, for <c>--inherit-key</c>.</param>
    /// <param name="hasOthers">Workers come from elsewhere as well.</param>
    /// <exception cref="FormatException">A URL that is none, or flags that need another one.</exception>
    public List<WorkerSpec> Workers(ParseResult parse, string[] keys, bool hasOthers)
    {
        if (parse.GetValue(_inheritKey) && keys.Length == 0) throw new FormatException("--inherit-key needs an --api-key.");
        string? key = parse.GetValue(_workerApiKey) ?? (parse.GetValue(_inheritKey) ? keys[0][(keys[0].IndexOf(':', StringComparison.Ordinal) + 1)..] : null);
        List<WorkerSpec> prefills = parse.GetValue(_prefill) ?? [];
        List<WorkerSpec> workers = [.. prefills, .. Specs(parse.GetValue(_decode), WorkerRole.Decode), .. Specs(parse.GetValue(_unified), WorkerRole.Unified)];
        if (parse.GetValue(_pdDisaggregation) && prefills.Count == 0 && !hasOthers) throw new FormatException("--pd-disaggregation needs at least one --prefill URL.");
        return [.. workers.Select(w => w with { ApiKey = key })];
    }

    private static IEnumerable<WorkerSpec> Specs(string[]? urls, WorkerRole role) =>
        (urls ?? []).Select(url => new WorkerSpec { Url = WorkerSpec.ParseUrl(url), Role = role });
}
