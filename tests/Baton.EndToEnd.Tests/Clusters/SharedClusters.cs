using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;
using Baton.EndToEnd.Tests.Prompts;
using Baton.Testing.Processes;

[assembly: AssemblyFixture(typeof(SharedClusters))]
// One test at a time: what two requests compute together differs in the last bits from what they compute alone.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Baton.EndToEnd.Tests.Clusters;

/// <summary>The two servers that most tests compare, started when the first of them asks: prefill and decode apart, and both in one place.</summary>
public sealed class SharedClusters : IAsyncDisposable
{
    private const int PromptCount = 110;
    private const int RecallCount = 100;

    /// <summary>One compute thread a rank; and both sides the same context, so that the same prompts fit.</summary>
    internal static readonly string[] WorkerFlags = ["--threads", "1"];

    private readonly Lazy<Task<UpProcess>> _disaggregated = new(() => UpProcess.StartReadyAsync(WorkerFlags));
    private readonly Lazy<Task<UpProcess>> _unified = new(() => UpProcess.StartReadyAsync(["--unified", "--prefill-dp", "1", .. WorkerFlags]));

    private readonly Lazy<Task<ReferenceAnswer[]>> _reference;
    private readonly Lazy<Task<ReferenceAnswer[]>> _recall;

    public SharedClusters()
    {
        _reference = new(() => AskAloneAsync(PromptSet.Arbitrary(PromptCount, seed: 20)));
        _recall = new(() => AskAloneAsync(PromptSet.Recall(RecallCount)));
    }

    /// <summary>A router, a prefill worker with two ranks and a decode worker with two ranks.</summary>
    internal Task<UpProcess> DisaggregatedAsync() => _disaggregated.Value;

    /// <summary>One worker with one rank that does both phases.</summary>
    internal Task<UpProcess> UnifiedAsync() => _unified.Value;

    /// <summary>Greedy answers of the unified server to <see cref="PromptCount"/> prompts from 1 to 1,500 tokens, asked once, one at a time.</summary>
    internal Task<ReferenceAnswer[]> ReferenceAsync() => _reference.Value;

    /// <summary>The unified server's answers to <see cref="RecallCount"/> chats, asked once, one at a time.</summary>
    internal Task<ReferenceAnswer[]> RecallAsync() => _recall.Value;

    private async Task<ReferenceAnswer[]> AskAloneAsync(GenerateRequest[] prompts)
    {
        using GenerateClient client = await UnifiedClientAsync();
        List<ReferenceAnswer> answers = [];
        foreach (GenerateRequest prompt in prompts)
        {
            GenerateRequest request = prompt with { WithLogprobs = true };
            answers.Add(new(request, await client.GenerateAsync(request)));
        }
        return [.. answers];
    }

    /// <summary>A client of the router.</summary>
    internal async Task<GenerateClient> DisaggregatedClientAsync() => new((await DisaggregatedAsync()).Url);

    /// <summary>A client of the unified worker.</summary>
    internal async Task<GenerateClient> UnifiedClientAsync() => new((await UnifiedAsync()).Url);

    public async ValueTask DisposeAsync()
    {
        if (_disaggregated.IsValueCreated) await (await _disaggregated.Value).DisposeAsync();
        if (_unified.IsValueCreated) await (await _unified.Value).DisposeAsync();
    }
}
