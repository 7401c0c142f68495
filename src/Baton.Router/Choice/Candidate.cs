using Baton.Router.Workers;

namespace Baton.Router.Choice;

/// <summary>One place a leg may go: a worker, and one of its ranks when the router chooses ranks.</summary>
public readonly record struct Candidate(Worker Worker, int? Rank)
{
    /// <summary>Sequences that this router has in flight there.</summary>
    public int Load => Rank is null ? Worker.InFlight : Worker.Ledger(Rank).Requests;

    /// <summary>Estimated prompt tokens of those.</summary>
    public long PromptTokens
    {
        get
        {
            if (Rank is not null) return Worker.Ledger(Rank).PromptTokens;
            long sum = 0;
            foreach (RankLedger rank in Worker.Ranks) sum += rank.PromptTokens;
            return sum;
        }
    }

    /// <summary>An identity for rings and logs, never an address.</summary>
    public override string ToString() => Rank is { } rank ? $"{Worker.Url}@{rank}" : Worker.Url;
}
