using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Simulation.Swarm;

/// <summary>A rank's way to tell a request's end with <see cref="Plant.SwallowEnd"/>, <see cref="Plant.EndTwice"/>, <see cref="Plant.NoReason"/> or <see cref="Plant.ReportWrongRank"/>.</summary>
internal sealed class PlantedSink(IGenerationSink sink, Plant plant) : IGenerationSink
{
    private const int OneIn = 20;

    public void OnToken(in OutputToken token) => sink.OnToken(token);

    public void OnEnd(GenerationEnd end)
    {
        // Which end it hits depends on the request alone: a run repeats itself.
        bool isHit = (end.PromptTokens + end.CompletionTokens) % OneIn == 0;
        if (plant == Plant.SwallowEnd && isHit) return;
        if (plant == Plant.NoReason && end.Failure is not null) end = end with { Failure = new RequestFailure(FailureReason.None, "") };
        if (plant == Plant.ReportWrongRank && end.PrefillDpRank is { } rank) end = end with { PrefillDpRank = new DpRank(rank.Value + 1) };
        sink.OnEnd(end);
        if (plant == Plant.EndTwice && isHit) sink.OnEnd(end);
    }
}
