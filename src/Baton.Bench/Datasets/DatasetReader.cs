using System.Text.Json;
using System.Text.Json.Nodes;
using Baton.Bench.Load;

namespace Baton.Bench.Datasets;

/// <summary>Makes the requests of a run. The same options and seed give the same requests.</summary>
public static class DatasetReader
{
    public static readonly IReadOnlyList<string> Names = ["random", "random-ids", "sharegpt", "generated-shared-prefix", "trace", "mooncake"];

    /// <exception cref="BenchException">An unknown name, a missing or unreadable file, lengths that make no sense.</exception>
    public static IReadOnlyList<BenchRequest> Read(DatasetOptions options)
    {
        if (options.NumPrompts < 1) throw new BenchException($"--num-prompts {options.NumPrompts}: at least 1 is needed.");
        if (options.RandomRangeRatio is < 0 or > 1) throw new BenchException($"--random-range-ratio {options.RandomRangeRatio}: give a value in [0, 1].");
        Random random = new(options.Seed);
        return options.Name switch
        {
            "random" when options.TokenizePrompt && options.Path is null => RandomIds(options, random),
            "random" or "sharegpt" or "generated-shared-prefix" when options.TokenizePrompt =>
                throw new BenchException($"--tokenize-prompt with --dataset-name {options.Name}: bench has no tokenizer for texts. Use random-ids, or random without --dataset-path."),
            "random" => RandomText(options, random),
            "random-ids" => options.TextOnly ? RandomText(options with { Path = null }, random) : RandomIds(options, random),
            "sharegpt" => ShareGpt(options, random),
            "generated-shared-prefix" => SharedPrefix(options, random),
            "trace" or "mooncake" => TraceReader.Read(options, random),
            _ => throw new BenchException($"--dataset-name {options.Name}: no such dataset. Use one of {string.Join(", ", Names)}."),
        };
    }

    private static List<BenchRequest> RandomText(DatasetOptions options, Random random)
    {
        SyntheticText synthetic = new(random, options.TokensPerWord);
        List<string>? prompts = options.Path is null ? null : [.. Conversations(options).Select(turns => turns.Prompt)];
        List<BenchRequest> requests = new(options.NumPrompts);
        for (int i = 0; i < options.NumPrompts; i++)
        {
            int input = DrawLength(options.RandomInputLen, options, random);
            requests.Add(new BenchRequest
            {
                Text = prompts is null ? synthetic.Write(input) : Fit(prompts[random.Next(prompts.Count)], input, options.TokensPerWord),
                PromptTokens = input,
                OutputTokens = DrawLength(options.RandomOutputLen, options, random),
            });
        }
        return requests;
    }

    private static List<BenchRequest> RandomIds(DatasetOptions options, Random random)
    {
        List<BenchRequest> requests = new(options.NumPrompts);
        for (int i = 0; i < options.NumPrompts; i++)
        {
            int[] ids = new int[DrawLength(options.RandomInputLen, options, random)];
            int offset = random.Next(options.VocabSize);
            for (int j = 0; j < ids.Length; j++) ids[j] = (offset + i + j) % options.VocabSize;
            requests.Add(new BenchRequest { TokenIds = ids, PromptTokens = ids.Length, OutputTokens = DrawLength(options.RandomOutputLen, options, random) });
        }
        return requests;
    }

    private static List<BenchRequest> ShareGpt(DatasetOptions options, Random random)
    {
        if (options.Path is null) throw new BenchException("--dataset-name sharegpt needs --dataset-path: bench downloads nothing.");
        List<(string Prompt, string Answer)> conversations = [.. Conversations(options)];
        Shuffle(conversations, random);
        List<BenchRequest> requests = [];
        foreach ((string prompt, string answer) in conversations)
        {
            if (requests.Count == options.NumPrompts) break;
            int input = EstimateTokens(prompt, options.TokensPerWord);
            int output = options.SharegptOutputLen ?? EstimateTokens(answer, options.TokensPerWord);
            // bench_serving drops conversations of fewer than 2 tokens on either side, and those past the context.
            if (input < 2 || output < 2 || (options.SharegptContextLen is { } context && input + output > context)) continue;
            requests.Add(new BenchRequest { Text = prompt, PromptTokens = input, OutputTokens = output });
        }
        if (requests.Count == 0) throw new BenchException($"{options.Path}: no conversation is usable. Raise --sharegpt-context-len or use another file.");
        return requests;
    }

    private static List<BenchRequest> SharedPrefix(DatasetOptions options, Random random)
    {
        SyntheticText synthetic = new(random, options.TokensPerWord);
        List<BenchRequest> requests = [];
        for (int group = 0; group < options.GspNumGroups; group++)
        {
            string system = synthetic.Write(options.GspSystemPromptLen);
            for (int i = 0; i < options.GspPromptsPerGroup; i++)
            {
                requests.Add(new BenchRequest
                {
                    SharedPrefix = system,
                    Text = $"{system}\n\n{synthetic.Write(options.GspQuestionLen)}",
                    PromptTokens = options.GspSystemPromptLen + options.GspQuestionLen,
                    OutputTokens = options.GspOutputLen,
                });
            }
        }
        Shuffle(requests, random);
        return requests;
    }

    /// <summary>First question and answer of each conversation in ShareGPT's JSON.</summary>
    private static IEnumerable<(string Prompt, string Answer)> Conversations(DatasetOptions options)
    {
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(File.ReadAllText(options.Path!));
        }
        catch (Exception broken) when (broken is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new BenchException($"--dataset-path {options.Path}: {broken.Message}", broken);
        }
        if (root is not JsonArray entries) throw new BenchException($"--dataset-path {options.Path}: a JSON array of conversations is expected.");
        int usable = 0;
        foreach (JsonNode? entry in entries)
        {
            if ((entry?["conversations"] ?? entry?["conversation"]) is not JsonArray { Count: >= 2 } turns) continue;
            if (turns[0]?["value"]?.GetValue<string>() is not { Length: > 0 } prompt || turns[1]?["value"]?.GetValue<string>() is not { Length: > 0 } answer) continue;
            usable++;
            yield return (prompt, answer);
        }
        if (usable == 0) throw new BenchException($"--dataset-path {options.Path}: no entry has a 'conversations' list of two turns with 'value' texts.");
    }

    /// <summary>Cuts or repeats a text to about so many tokens, by words.</summary>
    private static string Fit(string text, int tokens, double tokensPerWord)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        int count = Math.Max(1, (int)Math.Round(tokens / tokensPerWord));
        return string.Join(' ', Enumerable.Range(0, count).Select(i => words[i % words.Length]));
    }

    private static int EstimateTokens(string text, double tokensPerWord) =>
        (int)Math.Round(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length * tokensPerWord);

    private static int DrawLength(int length, DatasetOptions options, Random random)
    {
        if (length < 1) throw new BenchException($"a length of {length} tokens was asked for: at least 1 is needed.");
        return random.Next(Math.Max((int)(length * options.RandomRangeRatio), 1), length + 1);
    }

    private static void Shuffle<T>(List<T> items, Random random) => random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(items));
}
