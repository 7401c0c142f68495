using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Serving.Output;
using Baton.Serving.Requests;

namespace Baton.Serving.Tests.Output;

public sealed class SequenceRunTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_abort_reaches_the_rank_also_when_it_comes_before_the_run_knows_its_rank(bool isEarly)
    {
        PlannedSequence sequence = new() { Id = new RequestId("r"), PromptTokens = [1], Sampling = new SamplingOptions(), Output = OutputOptions.Default };
        using SequenceRun run = new(sequence, new SimulatedTextModel(), TimeSpan.Zero);
        RequestFailure asked = RequestFailure.Of(FailureReason.Aborted, "asked for");
        List<RequestFailure> told = [];

        if (isEarly) run.Abort(asked);
        run.Attach(DpRank.Zero, why => { told.Add(why); return true; }, () => throw new InvalidOperationException("the rank lives"), CancellationToken.None);
        if (!isEarly) run.Abort(asked);

        Assert.Equal(asked, Assert.Single(told));
        Assert.True(run.IsAborted);
    }
}
