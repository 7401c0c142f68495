using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Simulation.Events;
using Baton.Simulation.Figures;

namespace Baton.Simulation.Cluster;

/// <summary>Receives one leg of a request at its worker: decode's is what the client sees, prefill's only matters when it fails.</summary>
internal sealed class ClientLeg(EventLoop loop, RequestRecord record, bool isDecode, GapHistogram gaps, Action<GenerationEnd> ended, Action? firstToken = null) : IGenerationSink
{
    public bool HasEnded { get; private set; }

    public void OnToken(in OutputToken token)
    {
        if (HasEnded) throw new InvalidOperationException($"request {record.Index} got a token after its end");
        if (!isDecode) return;
        if (record.FirstTokenAt is null) firstToken?.Invoke();
        record.FirstTokenAt ??= loop.Now;
        if (record.LastTokenAt is { } last)
        {
            TimeSpan gap = loop.Now - last;
            gaps.Add(gap);
            if (gap > record.WorstGap) record.WorstGap = gap;
        }
        record.LastTokenAt = loop.Now;
        record.OutputTokens++;
        record.AnswerHash = SeededRandom.Mix(record.AnswerHash * 31 + (ulong)token.TokenId + 1);
    }

    public void OnEnd(GenerationEnd end)
    {
        if (HasEnded) throw new InvalidOperationException($"request {record.Index} ended twice on its {(isDecode ? "decode" : "prefill")} worker");
        HasEnded = true;
        ended(end);
    }
}
