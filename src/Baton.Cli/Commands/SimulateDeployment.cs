using System.CommandLine;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ranks;
using Baton.Serving.Workers;
using Baton.Simulation.Capacity;
using Baton.Simulation.Cluster;
using Baton.Simulation.Fitting;

namespace Baton.Cli.Commands;

/// <summary>What every rank of a simulated cluster is like: names and defaults of <c>baton serve</c>.</summary>
internal sealed class SimulateDeployment
{
    private static readonly ServeOptions Worker = new();
    private readonly Option<string> _cost = new("--cost-model") { Description = "Milliseconds of a step as in serve --simulated-cost, or fitted:FILE with a file of 'baton simulate fit'.", DefaultValueFactory = _ => new CostModel().ToString() };
    private readonly Option<string?> _decodeCost = new("--decode-cost-model") { Description = "The same for decode ranks, when they run on other hardware." };
    private readonly Option<int> _chunk = Count("--chunked-prefill-size", "Tokens of a prompt that are computed and handed over together.", Worker.ChunkedPrefillSize);
    private readonly Option<int> _batch = Count("--max-batch-tokens", "Tokens that one step may compute.", Worker.MaxBatchTokens);
    private readonly Option<int> _running = Count("--max-running-requests", "Sequences of one rank that hold KV cells at once.", Worker.MaxRunningRequests);
    private readonly Option<int> _queued = Count("--max-queued-requests", "Requests that may wait in one rank besides; more are refused.", Worker.MaxQueuedRequests);
    private readonly Option<int> _cells = Count("--max-total-tokens", "KV cells of one rank.", new Deployment().CellCount);
    private readonly Option<int> _context = Count("--context-length", "Longest sequence, prompt plus answer; longer requests fail.", new Deployment().ContextTokens);
    private readonly Option<int> _reserved = Count("--num-reserved-decode-tokens", "KV cells set aside for an answer when its prompt is admitted.", Worker.NumReservedDecodeTokens);
    private readonly Option<string> _method = new("--load-balance-method") { Description = "How a prefill worker spreads requests that the router did not pin.", DefaultValueFactory = _ => LoadBalanceMethods.Auto };
    private readonly Option<string> _steps = new("--steps") { Description = "How the prefill ranks of a worker step: independent, or lockstep (attention DP).", DefaultValueFactory = _ => "independent" };
    private readonly Option<string> _dpMode = new("--dp-mode") { Description = "auto: the router chooses ranks; off: the workers do.", DefaultValueFactory = _ => "auto" };
    private readonly Option<TimeSpan> _latency = new("--latency") { Description = "One way between any two processes, such as 0.1ms.", DefaultValueFactory = _ => new Deployment().Latency, CustomParser = OptionText.Duration };
    private readonly Option<double> _kvGbps = new("--kv-gbps") { Description = "Gigabits per second of one KV link. Default: no limit.", DefaultValueFactory = _ => double.PositiveInfinity };
    private readonly Option<int> _kvBytes = Count("--kv-bytes-per-token", "KV bytes of one token of the model that is planned for.", new Deployment().KvBytesPerToken);

    public SimulateDeployment()
    {
        _method.Among(LoadBalanceMethods.Auto, "round_robin", "follow_bootstrap_room", "total_requests", "total_tokens", "least_work");
        _steps.Among("independent", "lockstep");
        _dpMode.Among("auto", "off");
        _kvGbps.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && !(result.GetValueOrDefault<double>() > 0)) result.AddError("--kv-gbps: give gigabits per second above 0.");
        });
    }

    public IEnumerable<Option> All => [_cost, _decodeCost, _chunk, _batch, _running, _queued, _cells, _context, _reserved, _method, _steps, _dpMode, _latency, _kvGbps, _kvBytes];

    /// <exception cref="FormatException">A cost model that cannot be read, or sizes that no engine could have; the text is for the user.</exception>
    public Deployment Read(ParseResult parsed)
    {
        Deployment deployment = new()
        {
            Cost = CostModelText.Read(parsed.GetValue(_cost)!),
            DecodeCost = parsed.GetValue(_decodeCost) is { } decode ? CostModelText.Read(decode) : null,
            ChunkedPrefillSize = parsed.GetValue(_chunk),
            MaxBatchTokens = parsed.GetValue(_batch),
            MaxRunningRequests = parsed.GetValue(_running),
            MaxQueuedRequests = parsed.GetValue(_queued),
            CellCount = parsed.GetValue(_cells),
            ContextTokens = parsed.GetValue(_context),
            ReservedDecodeTokens = parsed.GetValue(_reserved),
            PrefillMethod = LoadBalanceMethods.TryParse(parsed.GetValue(_method)!, out LoadBalanceMethod method) ? method : LoadBalanceMethod.LeastWork,
            PrefillSteps = parsed.GetValue(_steps) == "lockstep" ? StepModel.Lockstep : StepModel.Independent,
            RouterPinsRanks = parsed.GetValue(_dpMode) == "auto",
            Latency = parsed.GetValue(_latency),
            KvBytesPerSecond = parsed.GetValue(_kvGbps) * 1e9 / 8,
            KvBytesPerToken = parsed.GetValue(_kvBytes),
        };
        if (deployment.ChunkedPrefillSize > deployment.MaxBatchTokens) throw new FormatException($"--chunked-prefill-size {deployment.ChunkedPrefillSize} does not fit into --max-batch-tokens {deployment.MaxBatchTokens}.");
        if (deployment.MaxRunningRequests > deployment.MaxBatchTokens) throw new FormatException($"--max-running-requests {deployment.MaxRunningRequests}: a decode step has one token a request, and --max-batch-tokens is {deployment.MaxBatchTokens}.");
        if (deployment.ContextTokens > deployment.CellCount) throw new FormatException($"--context-length {deployment.ContextTokens} is more than the {deployment.CellCount} cells of --max-total-tokens.");
        if (deployment.PrefillMethod == LoadBalanceMethod.FollowBootstrapRoom && deployment.RouterPinsRanks) throw new FormatException("--load-balance-method follow_bootstrap_room means nothing when the router chooses ranks: add --dp-mode off.");
        return deployment;
    }

    private static Option<int> Count(string name, string description, int value)
    {
        Option<int> option = new(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(OptionText.AtLeastOne);
        return option;
    }
}
