using Baton.Core.Randomness;
using Baton.Core.Requests;

namespace Baton.Simulation.Workloads;

/// <summary>Multi-turn conversations: every turn's prompt begins with all earlier turns, and all share one system prompt.</summary>
public sealed record Conversations
{
    private const int BlockTokens = RequestTrace.BlockTokens;

    public required int Count { get; init; }
    public int Turns { get; init; } = 4;
    public int SystemPromptTokens { get; init; } = 512;
    public LengthDistribution UserTokens { get; init; } = new LengthDistribution.LogNormal(200, 0.8, 4000);
    public LengthDistribution AnswerTokens { get; init; } = new LengthDistribution.LogNormal(150, 0.7, 2000);
    /// <summary>Mean time from one turn to the next of the same conversation.</summary>
    public TimeSpan ThinkTime { get; init; } = TimeSpan.FromSeconds(20);
    public double ConversationsPerSecond { get; init; } = 1;

    public Workload Draw(ulong seed)
    {
        SeededRandom random = new(seed);
        List<WorkloadRequest> requests = [];
        double start = 0;
        int nextBlock = SystemPromptTokens / BlockTokens;
        for (int conversation = 0; conversation < Count; conversation++)
        {
            start += random.NextExponential(1 / ConversationsPerSecond);
            AddTurns(requests, conversation, start, random, ref nextBlock);
        }
        requests.Sort((a, b) => (a.ArrivesAt, a.Conversation).CompareTo((b.ArrivesAt, b.Conversation)));
        return new Workload($"{Count} conversations of {Turns} turns, seed {seed}", [.. requests.Select((r, i) => r with { Index = i })]);
    }

    private void AddTurns(List<WorkloadRequest> requests, int conversation, double at, SeededRandom random, ref int nextBlock)
    {
        // The first blocks are the system prompt, shared by all; a block that is not full yet belongs to its turn alone.
        List<long> blocks = [.. Enumerable.Range(0, SystemPromptTokens / BlockTokens).Select(block => (long)block)];
        int prompt = SystemPromptTokens;
        for (int turn = 0; turn < Turns; turn++)
        {
            prompt += UserTokens.Draw(random);
            while ((blocks.Count + 1) * BlockTokens <= prompt) blocks.Add(nextBlock++);
            int answer = AnswerTokens.Draw(random);
            requests.Add(new WorkloadRequest(0, TimeSpan.FromMicroseconds(Math.Round(at * 1e6)), prompt, answer, [.. blocks], conversation));
            prompt += answer;
            at += random.NextExponential(ThinkTime.TotalSeconds);
        }
    }
}
