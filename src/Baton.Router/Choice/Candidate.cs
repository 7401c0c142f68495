using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>One place a leg may go: a worker, and one of its ranks when the router chooses ranks.</summary>
public readonly record struct Candidate(Worker Worker, int? Rank)
{
    /// <summary>The rank is not written into prefill's leg: the room alone implies it.</summary>
    public bool IsImplied { get; init; }

    /// <summary>The rank's state; the worker's first when the worker chooses ranks itself.</summary>
    public RankState State => Worker.Rank(Rank);

    /// <summary>Sequences that this router has in flight there.</summary>
    public int Load => Rank is null ? Worker.InFlight : State.Requests;

    /// <summary>Estimated prompt tokens of those.</summary>
    public long PromptTokens
    {
        get
        {
            if (Rank is not null) return State.PromptTokens;
            long sum = 0;
            foreach (RankState rank in Worker.Ranks) sum += rank.PromptTokens;
            return sum;
        }
    }

    /// <summary>Share of KV cells in use by the last report, the mean over the ranks that this candidate stands for; null when none reported.</summary>
    public double? TokenUsage
    {
        get
        {
            if (Rank is not null) return State.Report?.TokenUsage;
            double sum = 0;
            int count = 0;
            foreach (RankState rank in Worker.Ranks)
            {
                if (rank.Report is not { } report) continue;
                sum += report.TokenUsage;
                count++;
            }
            return count == 0 ? null : sum / count;
        }
    }

    /// <summary>Prompt tokens that other routers' requests still wait for there, by the last report; 0 when it never reported.</summary>
    public long OthersWaitingTokens
    {
        get
        {
            if (Rank is not null) return State.Report?.OthersWaitingTokens ?? 0;
            long sum = 0;
            foreach (RankState rank in Worker.Ranks) sum += rank.Report?.OthersWaitingTokens ?? 0;
            return sum;
        }
    }

    /// <summary>An identity for rings and logs, never an address.</summary>
    public override string ToString() => Rank is { } rank ? $"{Worker.Url}@{rank}" : Worker.Url;
}
