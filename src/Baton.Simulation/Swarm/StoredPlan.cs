using System.Text.Json;
using System.Text.Json.Serialization;
using Baton.Simulation.Cluster;
using Baton.Simulation.Faults;
using Baton.Simulation.Workloads;

namespace Baton.Simulation.Swarm;

/// <summary>A plan as a file: cluster, requests and fault script. Unlike its seed it means the same after the generator has changed.</summary>
public sealed record StoredPlan
{
    /// <summary>When it was stored, and what it found then.</summary>
    public required string Date { get; init; }
    public required string Found { get; init; }
    /// <summary>That drew it once; still decides about prompts, rooms, and which frames a link fault hits.</summary>
    public required ulong Seed { get; init; }
    public required bool IsCalm { get; init; }
    public required ClusterOptions Cluster { get; init; }
    public required IReadOnlyList<StoredRequest> Requests { get; init; }
    /// <summary>Lines of a fault script.</summary>
    public required IReadOnlyList<string> Faults { get; init; }

    /// <param name="ArrivesAt">Since the start of the run.</param>
    public sealed record StoredRequest(TimeSpan ArrivesAt, int PromptTokens, int OutputTokens);

    public static StoredPlan Of(SwarmPlan plan, string date, string found) => new()
    {
        Date = date,
        Found = found,
        Seed = plan.Seed,
        IsCalm = plan.IsCalm,
        Cluster = plan.Cluster,
        Requests = [.. plan.Workload.Requests.Select(request => new StoredRequest(request.ArrivesAt, request.PromptTokens, request.OutputTokens))],
        Faults = [.. plan.Faults.Select(fault => fault.ToString())],
    };

    /// <exception cref="FaultScriptException">A fault of the file makes no sense.</exception>
    public SwarmPlan ToPlan()
    {
        WorkloadRequest[] requests = [.. Requests.Select((request, i) => new WorkloadRequest(i, request.ArrivesAt, request.PromptTokens, request.OutputTokens, []))];
        Workload workload = new($"{requests.Length} stored requests", requests);
        FaultTargets targets = new(Cluster.PrefillWorkers, Cluster.DecodeWorkers, requests.Length);
        return new SwarmPlan(Seed, Cluster, workload, FaultScript.Parse(string.Join('\n', Faults), targets)) { IsCalm = IsCalm };
    }

    public string ToJson() => JsonSerializer.Serialize(this, StoredPlanJson.Default.StoredPlan) + "\n";

    /// <exception cref="JsonException">It is no stored plan.</exception>
    public static StoredPlan FromJson(string json) => JsonSerializer.Deserialize(json, StoredPlanJson.Default.StoredPlan) ?? throw new JsonException("The file holds nothing.");
}

[JsonSourceGenerationOptions(
    WriteIndented = true, UseStringEnumConverter = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(StoredPlan))]
internal sealed partial class StoredPlanJson : JsonSerializerContext;
