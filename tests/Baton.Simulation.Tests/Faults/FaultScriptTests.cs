using Baton.Simulation.Faults;
using Baton.Simulation.Swarm;

namespace Baton.Simulation.Tests.Faults;

public sealed class FaultScriptTests
{
    private static readonly FaultTargets Targets = new(PrefillWorkers: 2, DecodeWorkers: 2, Requests: 10);

    [Theory]
    [InlineData("kill prefill 1 at 12s\nrestart prefill 1 at 20s", "kill prefill 1 at 12s\nrestart prefill 1 at 20s\n")]
    [InlineData("drop bootstrap 5s", "drop bootstrap from 0s to 5s\n")]
    [InlineData("drop bootstrap 1 500ms at 3s", "drop bootstrap 1 from 3s to 3.5s\n")]
    [InlineData("drop bootstrap", "drop bootstrap\n")]
    [InlineData("partition decode 0 prefill 1 from 3s to 9s", "partition prefill 1 decode 0 from 3s to 9s\n")]
    [InlineData("slow decode 0 x3", "slow decode 0 x3\n")]
    [InlineData("slow prefill 1 x2.5 from 1m", "slow prefill 1 x2.5 from 60s\n")]
    [InlineData("delay link prefill 0 decode 1 by 50ms to 4s", "delay link prefill 0 decode 1 100% by 0.05s from 0s to 4s\n")]
    [InlineData("duplicate link decode 1 prefill 0", "duplicate link prefill 0 decode 1 10%\n")]
    [InlineData("reorder link prefill 0 decode 1 2.5% from 1s to 2s", "reorder link prefill 0 decode 1 2.5% from 1s to 2s\n")]
    [InlineData("corrupt link prefill 0 decode 1 100%", "corrupt link prefill 0 decode 1 100%\n")]
    [InlineData("break link prefill 0 decode 1 at 250us", "break link prefill 0 decode 1 at 0.00025s\n")]
    [InlineData("abort request 9 at 2s", "abort request 9 at 2s\n")]
    [InlineData("# nothing\n\n  kill decode 0   at 1s  # gone for good\r\n", "kill decode 0 at 1s\n")]
    public void A_script_is_read_and_written_back_in_its_long_form(string text, string expected)
    {
        IReadOnlyList<Fault> faults = FaultScript.Parse(text, Targets);

        Assert.Equal(expected, FaultScript.Write(faults));
        Assert.Equal(faults, FaultScript.Parse(expected, Targets));
    }

    [Fact]
    public void Every_line_that_is_wrong_is_named_with_its_number()
    {
        const string Script = """
            kill prefill 1 at 12s
            explode decode 0
            partition decode 0 decode 1

            restart decode 1 at 3s
            slow decode 7 x3
            drop bootstrap 5 s
            """;

        FaultScriptException wrong = Assert.Throws<FaultScriptException>(() => FaultScript.Parse(Script, Targets, "my.faults"));

        string[] lines = wrong.Message.Split('\n');
        Assert.Equal(5, lines.Length);
        Assert.StartsWith("my.faults:2: 'explode' is no fault. Known are: kill, restart,", lines[0], StringComparison.Ordinal);
        Assert.Equal("my.faults:3: decode 0 and decode 1 have no link: name a prefill and a decode worker.", lines[1]);
        Assert.Equal("my.faults:6: There is no decode 7: this run has 2, numbered from 0.", lines[2]);
        Assert.StartsWith("my.faults:7: ", lines[3], StringComparison.Ordinal);
        Assert.Equal("my.faults:5: decode 1 is not dead at 3s. Kill it before.", lines[4]);
    }

    [Theory]
    [InlineData("kill prefill 1", "The line ends where 'at' is due.")]
    [InlineData("kill prefill 1 at noon", "'noon' is no time. Write a number with us, ms, s, m or h, as 1.5s.")]
    [InlineData("kill prefill 1 at 1s twice", "'twice' is more than 'kill' takes.")]
    [InlineData("kill router 1 at 1s", "'router' stands where 'prefill' or 'decode' is due.")]
    [InlineData("slow decode 0 3", "'3' is no factor. Write x3 for three times as long.")]
    [InlineData("partition prefill 0 decode 0 from 5s to 5s", "It ends at 5s, which is not after 5s.")]
    [InlineData("corrupt link prefill 0 decode 0 0%", "'0%' is no chance. Write 10% for one frame in ten; more than 0 and at most 100.")]
    [InlineData("delay link prefill 0 decode 0", "The line ends where 'by' is due.")]
    [InlineData("abort request 10 at 1s", "There is no request 10: this run has 10, numbered from 0.")]
    [InlineData("kill decode 0 at 1s\nkill decode 0 at 2s", "decode 0 is dead already at 2s. Restart it before.")]
    public void What_is_wrong_is_said_with_the_way_out(string text, string expected)
    {
        FaultScriptException wrong = Assert.Throws<FaultScriptException>(() => FaultScript.Parse(text, Targets));

        Assert.EndsWith($": {expected}", wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_schedule_that_the_swarm_draws_can_be_written_as_a_script()
    {
        int faults = 0;
        for (ulong seed = 1; seed <= 300; seed++)
        {
            SwarmPlan plan = SwarmPlan.Draw(seed);
            FaultTargets targets = new(plan.Cluster.PrefillWorkers, plan.Cluster.DecodeWorkers, plan.Workload.Requests.Count);

            Assert.Equal(plan.Faults, FaultScript.Parse(FaultScript.Write(plan.Faults), targets));
            Assert.True(plan.IsHealed, $"seed {seed} draws a fault without an end");
            faults += plan.Faults.Count;
        }
        Assert.InRange(faults, 300, 1500);
    }
}
