using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Rooms;
using Baton.Router.Workers;

namespace Baton.Router;

/// <summary>Decides where requests go: which pair, which ranks, which rooms. Synchronous; owns nothing but memory.</summary>
/// <remarks>
/// The HTTP server and the simulator call the same methods. Time is an argument and randomness comes from the seed, so the
/// same calls give the same routes.
/// </remarks>
public sealed class PdRouter
{
    private readonly RouterOptions _options;
    private readonly IRoutingPolicy _prefillPolicy;
    private readonly IRoutingPolicy _decodePolicy;
    private readonly RoomIssuer _rooms;

    /// <exception cref="ArgumentException">A policy name that is not in <see cref="RoutingPolicies"/>.</exception>
    public PdRouter(RouterOptions options, WorkerFleet fleet, ulong seed)
    {
        _options = options;
        Fleet = fleet;
        RouterRandom random = new(seed);
        _prefillPolicy = RoutingPolicies.Create(options.PrefillPolicy ?? options.Policy, random);
        _decodePolicy = RoutingPolicies.Create(options.DecodePolicy ?? options.Policy, random);
        _rooms = new RoomIssuer(options.RoomMode, random);
    }

    public WorkerFleet Fleet { get; }

    public long RoomCollisions => _rooms.Collisions;

    /// <summary>Picks a route and takes its credits, or says why there is none.</summary>
    /// <param name="key">The client's session key for sticky policies, or null.</param>
    /// <param name="prompt">Raw prompt bytes for prefix-aware policies.</param>
    /// <param name="avoid">Workers that failed this request already; used again only when nothing else is there.</param>
    /// <param name="now">Monotonic time.</param>
    public (Route? Route, RouterError? Error) Choose(RequestFacts facts, string? key, ReadOnlyMemory<byte> prompt, IReadOnlyCollection<Worker> avoid, TimeSpan now)
    {
        WorkerFleet.Snapshot fleet = Fleet.Now;
        if (facts.Model is { } model && fleet.All.Count > 0 && !fleet.All.Any(w => w.Serves(model)) && fleet.All.All(IsModelKnown))
            return (null, Errors.NoSuchModel(model, fleet));
        // A unified worker does both phases; it is used when the fleet has no pair to offer.
        if (fleet.Prefill.Count == 0 && fleet.Decode.Count == 0 && fleet.Unified.Count > 0) return ChooseUnified(fleet, facts, key, prompt, avoid, now);

        List<Candidate> prefills = Candidates(fleet.Prefill, facts.Model, avoid);
        if (prefills.Count == 0) return (null, Errors.NoneAvailable(WorkerRole.Prefill, fleet.Prefill));
        List<Candidate> decodes = Candidates(fleet.Decode, facts.Model, avoid);
        if (decodes.Count == 0) return (null, Errors.NoneAvailable(WorkerRole.Decode, fleet.Decode));

        PolicyPick p = _prefillPolicy.Pick(prefills, new PolicyRequest(WorkerRole.Prefill, facts, key, prompt, now));
        PolicyPick d = _decodePolicy.Pick(decodes, new PolicyRequest(WorkerRole.Decode, facts, key, prompt, now));
        Candidate prefill = prefills[p.Index];
        BootstrapRoom[] rooms = new BootstrapRoom[facts.SequenceCount];
        for (int i = 0; i < rooms.Length; i++) rooms[i] = _rooms.Draw(prefill.Rank, prefill.Worker.DpSize, now);
        return (new Route(prefill, decodes[d.Index], rooms, facts.SequenceCount, facts.PromptTokens) { PrefillBranch = p.Branch, DecodeBranch = d.Branch }, null);
    }

    private (Route?, RouterError?) ChooseUnified(
        WorkerFleet.Snapshot fleet, RequestFacts facts, string? key, ReadOnlyMemory<byte> prompt, IReadOnlyCollection<Worker> avoid, TimeSpan now)
    {
        List<Candidate> candidates = Candidates(fleet.Unified, facts.Model, avoid);
        if (candidates.Count == 0) return (null, Errors.NoneAvailable(WorkerRole.Unified, fleet.Unified));
        PolicyPick pick = _decodePolicy.Pick(candidates, new PolicyRequest(WorkerRole.Unified, facts, key, prompt, now));
        return (new Route(null, candidates[pick.Index], [], facts.SequenceCount, facts.PromptTokens) { DecodeBranch = pick.Branch }, null);
    }

    private List<Candidate> Candidates(IReadOnlyList<Worker> workers, string? model, IReadOnlyCollection<Worker> avoid)
    {
        List<Candidate> found = Collect(workers, model, avoid);
        return found.Count > 0 || avoid.Count == 0 ? found : Collect(workers, model, []);
    }

    private List<Candidate> Collect(IReadOnlyList<Worker> workers, string? model, IReadOnlyCollection<Worker> avoid)
    {
        List<Candidate> found = new(workers.Count);
        foreach (Worker worker in workers)
        {
            if (worker.Status != WorkerStatus.Ready || avoid.Contains(worker)) continue;
            if (model is not null && IsModelKnown(worker) && !worker.Serves(model)) continue;
            if (_options.DpMode == DpMode.Off || worker.DpSize == 1) found.Add(new Candidate(worker, null));
            else for (int rank = 0; rank < worker.DpSize; rank++) found.Add(new Candidate(worker, rank));
        }
        return found;
    }

    // A worker that never told its model is not refused for it: the worker itself will say so.
    private static bool IsModelKnown(Worker worker) => worker.ModelName is not null;

    private static class Errors
    {
        public static RouterError NoSuchModel(string model, WorkerFleet.Snapshot fleet) => new(404, "model_not_found",
            $"No worker serves the model '{model}'. Served here: {string.Join(", ", fleet.All.Select(w => w.ModelName).Distinct().Order())}.");

        public static RouterError NoneAvailable(WorkerRole role, IReadOnlyList<Worker> workers)
        {
            string name = role == WorkerRole.Prefill ? "prefill" : role == WorkerRole.Decode ? "decode" : "unified";
            string states = workers.Count == 0
                ? "none is registered"
                : string.Join(", ", workers.GroupBy(w => w.Status).Select(g => $"{g.Count()} {g.Key}"));
            return new RouterError(503, "server_selection_failed", $"No {name} worker can take the request: {states}. See GET /workers.") { IsRetryable = true };
        }
    }
}
