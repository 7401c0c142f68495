using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Scheduling.Tests.Support;

/// <summary>Requests with prompts that differ from each other in their first token.</summary>
internal static class TestRequest
{
    public static readonly BootstrapAddress Bootstrap = new("127.0.0.1", 8998);

    public static (GenerationRequest Request, RecordingSink Sink) Of(
        string id, int promptTokens, int maxNewTokens = 4, int priority = 0, ulong? room = null, SamplingOptions? sampling = null)
    {
        RecordingSink sink = new();
        int first = 0;
        foreach (char letter in id) first = (first * 31 + letter) % 1000; // not GetHashCode: that differs from run to run
        int[] prompt = new int[promptTokens];
        for (int i = 0; i < promptTokens; i++) prompt[i] = 1 + (first + i * 7) % 1000;
        GenerationRequest request = new()
        {
            Id = new RequestId(id),
            PromptTokens = prompt,
            Sampling = (sampling ?? SamplingOptions.Greedy) with { MaxNewTokens = maxNewTokens },
            Bootstrap = room is { } value ? new BootstrapInfo(Bootstrap, new BootstrapRoom(value), null) : null,
            Priority = priority,
            Sink = sink,
        };
        return (request, sink);
    }
}
