using System.ComponentModel.DataAnnotations;
using Baton.Bootstrap.Decode;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Scheduling;
using Baton.Transfer;

namespace Baton.Serving.Workers;

public sealed partial record ServeOptions
{
    public bool IsFakeBackend => TransferBackend == "fake";

    /// <summary>Everything at once, so that a user corrects a command line in one go.</summary>
    /// <exception cref="ValidationException">The message has one sentence for each problem.</exception>
    public void Validate()
    {
        List<ValidationResult> results = [];
        Validator.TryValidateObject(this, new ValidationContext(this), results, validateAllProperties: true);
        Validator.TryValidateObject(Simulated, new ValidationContext(Simulated), results, validateAllProperties: true);
        List<string> problems = [.. results.Select(result => result.ErrorMessage!)];
        if (Engine == EngineKind.Llama && string.IsNullOrEmpty(ModelPath)) problems.Add("No model: give --model-path, or --engine simulated.");
        if (TransferBackend is not ("tcp" or "fake")) problems.Add(TransferBackendProblem());
        if (LoadBalanceMethod == Core.Ranks.LoadBalanceMethod.FollowBootstrapRoom && Role != WorkerRole.Prefill)
            problems.Add($"--load-balance-method {Core.Ranks.LoadBalanceMethod.FollowBootstrapRoom.WireName} is for prefill workers; rooms say nothing about the ranks of this one.");
        if (Routers.Count == 0 && AdvertiseUrl is not null) problems.Add("--advertise-url needs a --router URL.");
        if (Role != WorkerRole.Unified && TransferBackend == "tcp") problems.AddRange(ToTransfer().Validate());
        if (problems.Count > 0) throw new ValidationException(string.Join(Environment.NewLine, problems));
    }

    internal TransferOptions ToTransfer() => new()
    {
        BindAddress = KvHost ?? (Host == "localhost" ? "127.0.0.1" : Host),
        Port = KvPort,
        ClusterSecret = ClusterSecret,
        MaxChunkTokens = Math.Max(new TransferOptions().MaxChunkTokens, ChunkedPrefillSize),
        EarlyClaimTimeout = BootstrapTimeout,
    };

    internal RankResolverOptions ToResolver() => new()
    {
        ResolveTimeout = ResolveTimeout ?? (BootstrapTimeout < WaitingTimeout ? BootstrapTimeout : WaitingTimeout),
        ForceQuery = ForceQueryPrefillDpRank,
        HeartbeatInterval = HeartbeatInterval,
        HeartbeatMaxFailure = HeartbeatMaxFailure,
    };

    internal SchedulerOptions ToScheduler() => new()
    {
        ChunkedPrefillSize = ChunkedPrefillSize,
        MaxRunningRequests = MaxRunningRequests,
        MaxQueuedRequests = MaxQueuedRequests,
        ReservedDecodeTokens = NumReservedDecodeTokens,
        QueueTimeout = QueueTimeout,
        BootstrapTimeout = BootstrapTimeout,
        WaitingTimeout = WaitingTimeout,
    };

    private string TransferBackendProblem() => TransferBackend is "mooncake" or "nixl" or "ascend" or "mori"
        ? $"--disaggregation-transfer-backend {TransferBackend}: Baton hands KV over with its own protocol on TCP and cannot join a {TransferBackend} fabric. Use tcp, or fake for tests."
        : $"--disaggregation-transfer-backend {TransferBackend} is not known. Use tcp or fake.";
}
