using Baton.Bench.Datasets;
using Baton.Bench.Load;

namespace Baton.Bench.Tests.Datasets;

public sealed class DatasetTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("baton-bench-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string File(string text)
    {
        string path = Path.Combine(_folder, Guid.NewGuid().ToString("N"));
        System.IO.File.WriteAllText(path, text);
        return path;
    }

    [Theory]
    [InlineData(1.0, 40, 40)]
    [InlineData(0.5, 20, 40)]
    [InlineData(0.0, 1, 40)]
    public void Random_lengths_fill_the_range_that_the_ratio_leaves(double ratio, int least, int most)
    {
        IReadOnlyList<BenchRequest> requests = DatasetReader.Read(new DatasetOptions
        {
            Name = "random-ids",
            NumPrompts = 2000,
            RandomInputLen = 40,
            RandomOutputLen = 40,
            RandomRangeRatio = ratio,
        });

        Assert.Equal((least, most), (requests.Min(request => request.TokenIds!.Length), requests.Max(request => request.TokenIds!.Length)));
        Assert.Equal((least, most), (requests.Min(request => request.OutputTokens), requests.Max(request => request.OutputTokens)));
        Assert.All(requests, request => Assert.All(request.TokenIds!, id => Assert.InRange(id, 0, 255)));
    }

    [Theory]
    [InlineData("random")]
    [InlineData("random-ids")]
    [InlineData("generated-shared-prefix")]
    public void The_same_seed_gives_the_same_requests_and_another_seed_others(string name)
    {
        DatasetOptions options = new() { Name = name, NumPrompts = 20, RandomInputLen = 30, GspNumGroups = 2, GspPromptsPerGroup = 3, Seed = 5 };

        string Flat(DatasetOptions wanted) => string.Join('|', DatasetReader.Read(wanted).Select(request => request.Text ?? string.Join(',', request.TokenIds!)));

        Assert.Equal(Flat(options), Flat(options));
        Assert.NotEqual(Flat(options), Flat(options with { Seed = 6 }));
    }

    [Fact]
    public void Random_prompts_are_token_ids_when_asked_for_and_texts_of_a_file_cannot_be()
    {
        DatasetOptions options = new() { Name = "random", NumPrompts = 2, RandomInputLen = 9, RandomRangeRatio = 1, TokenizePrompt = true };

        Assert.All(DatasetReader.Read(options), request => Assert.Equal(9, request.TokenIds!.Length));
        foreach (DatasetOptions texts in new[] { options with { Path = "p" }, options with { Name = "sharegpt", Path = "p" }, options with { Name = "generated-shared-prefix" } })
            Assert.Contains("--tokenize-prompt", Assert.Throws<BenchException>(() => DatasetReader.Read(texts)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Synthetic_text_is_sized_by_tokens_per_word()
    {
        DatasetOptions options = new() { Name = "random", NumPrompts = 1, RandomInputLen = 100, RandomRangeRatio = 1, TokensPerWord = 2 };

        BenchRequest request = Assert.Single(DatasetReader.Read(options));

        Assert.Equal(50, request.Text!.Split(' ').Length);
        Assert.Equal(100, request.PromptTokens);
    }

    [Fact]
    public void Chat_gets_text_for_random_ids()
    {
        BenchRequest request = Assert.Single(DatasetReader.Read(new DatasetOptions { Name = "random-ids", NumPrompts = 1, TextOnly = true }));

        Assert.NotNull(request.Text);
        Assert.Null(request.TokenIds);
    }

    [Fact]
    public void Sharegpt_takes_the_first_turn_and_drops_what_is_too_short_or_too_long()
    {
        string path = File("""
            [{"conversations":[{"from":"human","value":"one two three four"},{"from":"gpt","value":"five six seven"}]},
             {"conversations":[{"value":"x"},{"value":"a b c d"}]},
             {"conversations":[{"value":"a a a a a a a a a a a a a a a a a a a a"},{"value":"b b b"}]},
             {"conversations":[{"value":"alone"}]}]
            """);

        BenchRequest request = Assert.Single(DatasetReader.Read(new DatasetOptions { Name = "sharegpt", Path = path, TokensPerWord = 1, SharegptContextLen = 10 }));

        Assert.Equal(("one two three four", 4, 3), (request.Text, request.PromptTokens, request.OutputTokens));
    }

    [Fact]
    public void Random_with_a_file_cuts_and_repeats_its_prompts()
    {
        string path = File("""[{"conversations":[{"value":"one two three"},{"value":"x"}]}]""");

        BenchRequest request = Assert.Single(DatasetReader.Read(new DatasetOptions
        {
            Name = "random",
            Path = path,
            NumPrompts = 1,
            RandomInputLen = 5,
            RandomRangeRatio = 1,
            TokensPerWord = 1,
        }));

        Assert.Equal("one two three one two", request.Text);
    }

    [Fact]
    public void Shared_prefix_groups_share_their_system_prompt()
    {
        IReadOnlyList<BenchRequest> requests = DatasetReader.Read(new DatasetOptions
        {
            Name = "generated-shared-prefix",
            GspNumGroups = 3,
            GspPromptsPerGroup = 4,
            GspSystemPromptLen = 20,
            GspQuestionLen = 5,
        });

        IGrouping<string, BenchRequest>[] groups = [.. requests.GroupBy(request => request.Text!.Split("\n\n")[0], StringComparer.Ordinal)];
        Assert.Equal([4, 4, 4], groups.Select(group => group.Count()));
        Assert.Equal(12, requests.Select(request => request.Text).Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    public void A_trace_keeps_its_times_lengths_and_shared_blocks()
    {
        string path = File("""
            {"timestamp": 2000, "input_length": 1000, "output_length": 7, "hash_ids": [4, 9]}

            {"timestamp": 500, "input_length": 600, "output_length": 3, "hash_ids": [4, 5]}
            """);

        IReadOnlyList<BenchRequest> requests = DatasetReader.Read(new DatasetOptions { Name = "trace", Path = path });

        Assert.Equal([(500.0, 600, 3), (2000.0, 1000, 7)], requests.Select(request => (request.At!.Value.TotalMilliseconds, request.TokenIds!.Length, request.OutputTokens)));
        Assert.Equal(requests[0].TokenIds![..512], requests[1].TokenIds![..512]);
        Assert.NotEqual(requests[0].TokenIds![512..], requests[1].TokenIds![512..600]);
    }

    [Theory]
    [InlineData("sharegpt", null, "--dataset-path")]
    [InlineData("trace", null, "--dataset-path")]
    [InlineData("trace", "{\"timestamp\":1}", "line 1")]
    [InlineData("sharegpt", "{", "--dataset-path")]
    [InlineData("sharegpt", "[]", "no entry")]
    [InlineData("nothing", null, "no such dataset")]
    public void What_cannot_be_read_is_said_with_its_place(string name, string? text, string expected)
    {
        BenchException wrong = Assert.Throws<BenchException>(() => DatasetReader.Read(new DatasetOptions { Name = name, Path = text is null ? null : File(text) }));

        Assert.Contains(expected, wrong.Message, StringComparison.Ordinal);
    }
}
