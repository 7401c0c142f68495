using Baton.Scheduling.Ranks;

namespace Baton.Scheduling.Tests.Support;

/// <summary>Turns a rank as its thread would, on a clock that only the steps and the test move.</summary>
internal sealed class Crank(IRank rank)
{
    public TimeSpan Now { get; set; }

    public int Steps { get; private set; }

    public bool Turn()
    {
        if (!rank.Begin(Now)) return false;
        Steps++;
        Now += rank.Elapsed;
        rank.End(Now);
        return true;
    }

    /// <summary>Turns until nothing is left to execute.</summary>
    public void Run(int maxTurns = 10_000)
    {
        for (int i = 0; i < maxTurns; i++)
        {
            if (!Turn()) return;
        }
        Assert.Fail($"The rank was not quiet after {maxTurns} turns.");
    }

    public void AdvanceAndTurn(TimeSpan to)
    {
        Now = to;
        Turn();
    }
}
