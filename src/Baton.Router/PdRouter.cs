using System.Diagnostics;
using System.Globalization;
using Baton.Core.Ids;
using Baton.Router.Bodies;
using Baton.Router.Choice;
using Baton.Router.Errors;
using Baton.Router.Rooms;
using Baton.Router.Workers;

namespace Baton.Router;

/// <summary>Decides where requests go: which pair, which ranks, which rooms. Synchronous, thread-safe; owns nothing but memory.</summary>
/// <remarks>
/// The HTTP server and the simulator call the same methods. Time is an argument and randomness comes from the seed, so the
/// same calls give the same routes.
/// </remarks>
public sealed class PdRouter
{
    private readonly CandidateRoll?[] _rolls = new CandidateRoll?[2];
    private static readonly PolicyPick Nothing = new(0, "");
    private int _madeRolls;
    private readonly RouterOptions _options;
    private readonly RouterRandom _random;
    private readonly RoomIssuer _rooms;
    private readonly RankChooser _ranks;
    private readonly Lock _choosing = new();

    /// <exception cref="ArgumentException">A policy name that is not in <see cref="RoutingPolicies"/>.</exception>
    public PdRouter(RouterOptions options, WorkerFleet fleet, ulong seed)
    {
        _options = options;
        Fleet = fleet;
        _random = new RouterRandom(seed);
        PrefillPolicy = RoutingPolicies.Create(options.PrefillPolicy ?? options.Policy, options.Policies, _random);
        // Prompt length says nothing about decode's work: a bucket there is refused by name and replaced when it came from --policy.
        if (options.DecodePolicy == "bucket") throw new ArgumentException("bucket is a prefill policy: give decode another one by --decode-policy.", nameof(options));
        DecodePolicy = RoutingPolicies.Create(options.DecodePolicy ?? (options.Policy == "bucket" ? "least_load" : options.Policy), options.Policies, _random);
        _rooms = new RoomIssuer(options.RoomMode, _random);
        _ranks = new RankChooser(options.RankPolicy, options.Policies);
    }

    public WorkerFleet Fleet { get; }

    public IRoutingPolicy PrefillPolicy { get; }

    public IRoutingPolicy DecodePolicy { get; }

    /// <summary>The policy that places requests on workers of a role.</summary>
    public IRoutingPolicy PolicyOf(WorkerRole role) => role == WorkerRole.Prefill ? PrefillPolicy : DecodePolicy;

    /// <summary>Rooms that were drawn again because they were still remembered.</summary>
    public long RoomCollisions => _rooms.Collisions;

    /// <summary>Requests sent although every breaker of a role was open.</summary>
    public long PanicChoices { get; private set; }

    /// <summary>Picks a route and takes its credits, or says why there is none. Exactly one of the two is set.</summary>
    /// <param name="now">Monotonic time.</param>
    public (Route? Route, RouterError? Error) Choose(in RouteQuery query, TimeSpan now)
    {
        WorkerFleet.Snapshot fleet = Fleet.Now;
        if (RefuseModel(query.Facts, fleet) is { } unknown) return (null, unknown);
        // One choice at a time: the next one has to see this one's credits, and its probe of a half-open breaker.
        lock (_choosing) return ChooseAlone(query, fleet, now);
    }

    private (Route? Route, RouterError? Error) ChooseAlone(in RouteQuery query, WorkerFleet.Snapshot fleet, TimeSpan now)
    {
        (Candidate? prefill, Candidate? decode, RouterError? error, PolicyPick p, PolicyPick d) = Select(query, fleet, now, isDryRun: false);
        if (error is not null) return (null, error);
        BootstrapRoom[] rooms = prefill is null ? [] : new BootstrapRoom[query.Facts.SequenceCount];
        for (int i = 0; i < rooms.Length; i++) rooms[i] = _rooms.Draw(prefill!.Value.Rank, prefill.Value.Worker.DpSize, now);
        return (new Route(prefill, decode!.Value, rooms, query.Facts.SequenceCount, query.Facts.PromptTokens, now) { PrefillPick = p, DecodePick = d }, null);
    }

    /// <summary>What <see cref="Choose"/> would do, with every candidate's score and every exclusion's reason. Changes nothing.</summary>
    public RouteExplanation Explain(in RouteQuery query, TimeSpan now)
    {
        WorkerFleet.Snapshot fleet = Fleet.Now;
        RouterError? unknown = RefuseModel(query.Facts, fleet);
        (Candidate? prefill, Candidate? decode, RouterError? error, PolicyPick p, PolicyPick d) =
            unknown is null ? Select(query, fleet, now, isDryRun: true) : (null, null, unknown, Nothing, Nothing);
        bool unified = IsUnified(fleet);
        return new RouteExplanation
        {
            Error = error,
            Prefill = unified ? null : ExplainSide(WorkerRole.Prefill, PrefillPolicy, fleet.Prefill, query, prefill, p, now),
            Decode = ExplainSide(unified ? WorkerRole.Unified : WorkerRole.Decode, DecodePolicy, unified ? fleet.Unified : fleet.Decode, query, decode, d, now),
        };
    }

    private (Candidate? Prefill, Candidate? Decode, RouterError? Error, PolicyPick Prefills, PolicyPick Decodes) Select(
        in RouteQuery query, WorkerFleet.Snapshot fleet, TimeSpan now, bool isDryRun)
    {
        // A unified worker does both phases; it is used when the fleet has no pair to offer.
        bool unified = IsUnified(fleet);
        List<Candidate> prefills = unified ? [] : Collect(fleet.Prefill, PrefillPolicy, query, now, null, isDryRun);
        if (!unified && prefills.Count == 0) return (null, null, None(WorkerRole.Prefill, fleet.Prefill, query.Facts.Model), Nothing, Nothing);
        WorkerRole role = unified ? WorkerRole.Unified : WorkerRole.Decode;
        List<Candidate> decodes = Collect(fleet.Of(role), DecodePolicy, query, now, null, isDryRun);
        if (decodes.Count == 0) return (null, null, None(role, fleet.Of(role), query.Facts.Model), Nothing, Nothing);

        (Candidate? prefill, PolicyPick prefillPick) = (null, Nothing);
        if (!unified)
        {
            (prefill, prefillPick, RouterError? bad) = Pick(PrefillPolicy, WorkerRole.Prefill, prefills, query, AskedOfPrefill(query), now, isDryRun);
            if (bad is not null) return (null, null, bad, Nothing, Nothing);
        }
        if (_options.DpField == RankField.DataParallelRank && prefill is { } shared)
        {
            if (query is { PrefillRank: { } one, DecodeRank: { } other } && one.Rank != other.Rank)
                return (null, null, new RouterError(400, "bad_dp_rank", $"{one.Field} is {one.Text} and {other.Field} is {other.Text}: under --dp-field data_parallel_rank both legs have one rank."), Nothing, Nothing);
            decodes = [.. decodes.Select(c => c.Worker).Distinct().Where(w => w.DpSize > (shared.Rank ?? 0)).Select(w => new Candidate(w, w.DpSize > 1 ? shared.Rank ?? 0 : null))];
            if (decodes.Count == 0)
                return (null, null, new RouterError(503, "server_selection_failed", $"Under --dp-field data_parallel_rank both legs have one rank, and no decode worker has rank {shared.Rank}."), Nothing, Nothing);
        }
        if (query.KeepDecode is { } keep && decodes.Contains(keep)) return (prefill, keep, null, prefillPick, new PolicyPick(0, "kept"));
        AskedRank? asked = prefill is not null && _options.DpField == RankField.DataParallelRank ? null : query.DecodeRank;
        (Candidate? decode, PolicyPick decodePick, RouterError? wrong) = Pick(DecodePolicy, role, decodes, query, asked, now, isDryRun);
        return (prefill, decode, wrong, prefillPick, decodePick);
    }

    // With one rank for both legs, either side's wish is prefill's.
    private AskedRank? AskedOfPrefill(in RouteQuery query) => query.PrefillRank ?? (_options.DpField == RankField.DataParallelRank ? query.DecodeRank : null);

    private (Candidate?, PolicyPick, RouterError?) Pick(
        IRoutingPolicy policy, WorkerRole role, List<Candidate> candidates, in RouteQuery query, AskedRank? asked, TimeSpan now, bool isDryRun)
    {
        using Activity? span = isDryRun ? null : RouterTrace.Source.StartActivity(role == WorkerRole.Prefill ? "select.prefill" : "select.decode");
        PolicyRequest request = new(role, query.Facts, query.Key, query.Prompt, now) { IsDryRun = isDryRun, Tools = query.Tools };
        if (query.Target is { } target && policy.HonoursTarget)
        {
            (Candidate? pinned, RouterError? refused) = Pinned(target, role, candidates);
            if (refused is not null) return (null, Nothing, refused);
            candidates = [pinned!.Value];
        }
        if (asked is { } rank)
        {
            int sizes = candidates.Max(c => c.Worker.DpSize);
            candidates = rank.Rank is { } number ? [.. candidates.Where(c => number < c.Worker.DpSize).Select(c => new Candidate(c.Worker, number)).Distinct()] : [];
            if (candidates.Count == 0)
            {
                string leg = FailureMapping.Name(FailureMapping.LegOf(role));
                return (null, Nothing, new RouterError(400, "bad_dp_rank", $"{rank.Field} is {rank.Text}: give a {leg} rank from 0 to {sizes - 1}.") { Param = rank.Field });
            }
        }
        PolicyPick pick = policy.Pick(candidates, request);
        if (pick.Refusal is { } why) return (null, pick, new RouterError(503, "server_selection_failed", why) { Leg = FailureMapping.LegOf(role) });
        Candidate chosen = candidates[pick.Index];
        if (asked is null && chosen.Rank is null && _options.DpMode == DpMode.TwoLevel && policy.ChoosesRanks) chosen = _ranks.Choose(chosen.Worker, request);
        span?.SetTag("policy", policy.Name).SetTag("branch", pick.Branch).SetTag("worker", chosen.Worker.Url).SetTag("rank", chosen.Rank);
        return (chosen, pick, null);
    }

    /// <summary>The place with a number among all of the role, in the order of <c>GET /workers</c>, every rank counted that the policy may choose.</summary>
    private (Candidate? Pinned, RouterError? Refused) Pinned(string target, WorkerRole role, List<Candidate> candidates)
    {
        if (!int.TryParse(target, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
            return (null, new RouterError(400, "bad_target_worker", $"x-smg-target-worker is '{target}': give the number of a worker, from 0.") { Param = "x-smg-target-worker" });
        bool ranks = _options.DpMode is DpMode.Auto or DpMode.Expand;
        List<Candidate> all = [.. Fleet.Now.Of(role).SelectMany(w => ranks && w.DpSize > 1 ? Enumerable.Range(0, w.DpSize).Select(r => new Candidate(w, r)) : [new Candidate(w, null)])];
        string name = FailureMapping.Name(FailureMapping.LegOf(role));
        if (index >= all.Count)
            return (null, new RouterError(503, "server_selection_failed", $"x-smg-target-worker is {index}, and there are {all.Count} places on {name} workers.") { Leg = FailureMapping.LegOf(role) });
        return candidates.Contains(all[index])
            ? (all[index], null)
            : (null, new RouterError(503, "server_selection_failed", $"x-smg-target-worker is {index}, and {all[index]} cannot take the request now.") { Leg = FailureMapping.LegOf(role), IsRetryable = true });
    }

    private SideExplanation ExplainSide(
        WorkerRole role, IRoutingPolicy policy, IReadOnlyList<Worker> workers, in RouteQuery query, Candidate? chosen, in PolicyPick pick, TimeSpan now)
    {
        List<Exclusion> excluded = [];
        List<Candidate> candidates = Collect(workers, policy, query, now, excluded, isDryRun: true);
        return new SideExplanation
        {
            Policy = policy.Name,
            Chosen = chosen?.ToString(),
            Branch = pick.Branch,
            MatchedBy = pick.MatchedBy,
            MatchedTokens = pick.MatchedTokens,
            Candidates = [.. candidates.Select(c => new ScoredCandidate
            {
                Candidate = c.ToString(),
                Score = policy.Score(c, new PolicyRequest(role, new RequestFacts { Endpoint = DataEndpoint.Generate }, null, default, now)),
                InFlight = c.Load,
                PromptTokens = c.PromptTokens,
                TokenUsage = c.TokenUsage,
            })],
            Excluded = excluded,
        };
    }

    private List<Candidate> Collect(IReadOnlyList<Worker> workers, IRoutingPolicy policy, in RouteQuery query, TimeSpan now, List<Exclusion>? excluded, bool isDryRun)
    {
        bool expandRanks = _options.DpMode is DpMode.Auto or DpMode.Expand && policy.ChoosesRanks;
        if (expandRanks && excluded is null && RollOf(workers).AllAdmitted(query, now) is { } all) return all;
        List<Candidate> found = CandidateFilter.Collect(workers, query, expandRanks, now, excluded, out bool panic);
        if (panic && !isDryRun) PanicChoices++;
        return found;
    }

    private CandidateRoll RollOf(IReadOnlyList<Worker> workers)
    {
        foreach (CandidateRoll? roll in _rolls)
        {
            if (roll is not null && roll.IsOf(workers)) return roll;
        }
        CandidateRoll made = new(workers);
        // Prefill and decode lists take turns; who comes second at the same moment makes it once more, which is harmless.
        _rolls[Interlocked.Increment(ref _madeRolls) & 1] = made;
        return made;
    }

    /// <summary>A model's name for metrics: what the fleet calls it, or <c>other</c>; clients cannot invent new values.</summary>
    public string ModelTag(string? model)
    {
        if (model is null) return "default";
        if (_options.ModelAliases.TryGetValue(model, out string? canonical)) model = canonical;
        foreach (Worker worker in Fleet.Now.All)
            if (worker.Serves(model)) return model;
        return "other";
    }

    /// <summary>A worker was replaced or removed: no policy keeps what it knew of it.</summary>
    public void Forget(Worker worker)
    {
        PrefillPolicy.Forget(worker);
        DecodePolicy.Forget(worker);
        _ranks.Forget(worker);
    }

    private static bool IsUnified(WorkerFleet.Snapshot fleet) => fleet.Prefill.Count == 0 && fleet.Decode.Count == 0 && fleet.Unified.Count > 0;

    // A worker that never told its model is not refused for it: the worker itself will say so.
    private static RouterError? RefuseModel(RequestFacts facts, WorkerFleet.Snapshot fleet)
    {
        if (facts.Model is not { } model || fleet.All.Count == 0) return null;
        foreach (Worker worker in fleet.All)
            if (worker.ModelName is null || worker.Serves(model)) return null;
        string served = string.Join(", ", fleet.All.Select(w => w.ModelName).Distinct().Order());
        return new RouterError(404, "model_not_found", $"No worker serves the model '{model}'. Served here: {served}.");
    }

    private static RouterError None(WorkerRole role, IReadOnlyList<Worker> workers, string? model) =>
        new(503, "server_selection_failed", $"{CandidateFilter.WhyNone(role, workers, model)} See GET /workers.") { IsRetryable = true, Leg = FailureMapping.LegOf(role) };
}
