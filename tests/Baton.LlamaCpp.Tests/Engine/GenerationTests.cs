using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.LlamaCpp.Engine;

namespace Baton.LlamaCpp.Tests.Engine;

public sealed class GenerationTests
{
    [Fact]
    public void The_demo_model_says_what_it_is()
    {
        using LlamaEngine engine = DemoModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 4 }, TimeProvider.System);
        int[] prompt = DemoModel.Instance.RenderChat([new ChatMessage("user", "Who are you?")]);

        string answer = EngineDriver.Answer(engine, new SequenceId(0), prompt, SamplingOptions.Greedy with { MaxNewTokens = 64 });

        Assert.Contains("Baton", answer, StringComparison.Ordinal);
    }
}
