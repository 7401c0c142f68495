using Baton.Core.Requests;

namespace Baton.Scheduling.Tests.Support;

/// <summary>Keeps what a request produced and refuses what no request may produce: a second end, or a token after the end.</summary>
internal sealed class RecordingSink : IGenerationSink
{
    public List<int> Tokens { get; } = [];

    public GenerationEnd? End { get; private set; }

    public bool KeepTokens { get; init; } = true;

    public Action<GenerationEnd>? Ended { get; init; }

    public void OnToken(in OutputToken token)
    {
        Assert.Null(End);
        if (KeepTokens) Tokens.Add(token.TokenId);
    }

    public void OnEnd(GenerationEnd end)
    {
        Assert.Null(End);
        Assert.Equal(end.Kind == FinishKind.Abort, end.Failure is not null);
        End = end;
        Ended?.Invoke(end);
    }
}
