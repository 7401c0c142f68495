using System.Text;
using Baton.Core.Text;
using Baton.LlamaCpp.Model;
using Baton.LlamaCpp.Text;
using Baton.Testing.Gguf;

namespace Baton.LlamaCpp.Tests.Text;

public sealed class TokenizerTests
{
    public static readonly TheoryData<string> Texts =
    [
        "", " ", "My locker code is 40718.", "  two  spaces \n\n\ttabs ", "grüße, Ægir", "日本語のテキスト", "emoji 🙂👩‍👩‍👧 and 𝔘𝔫𝔦",
        "a\0b", "<|im_start|>system", "\u0001\u007F",
    ];

    [Theory]
    [MemberData(nameof(Texts))]
    public void Text_comes_back_whole_from_its_tokens(string text)
    {
        foreach (ITextModel model in new ITextModel[] { DemoModel.Instance, TinyModel.Instance })
        {
            int[] tokens = model.Tokenize(text, parseSpecial: false);

            IDetokenizer detokenizer = model.CreateDetokenizer();
            Assert.Equal(text, string.Concat(tokens.Select(detokenizer.Append)) + detokenizer.Finish());
        }
    }

    [Fact]
    public void A_lone_surrogate_becomes_the_replacement_character()
    {
        int[] tokens = DemoModel.Instance.Tokenize("a\uD800b", parseSpecial: false);

        Assert.Equal("a\uFFFDb", Encoding.UTF8.GetString([.. tokens.SelectMany(token => DemoModel.Instance.TokenBytes(token).ToArray())]));
    }

    [Fact]
    public void A_character_split_over_tokens_appears_with_its_last_byte()
    {
        IDetokenizer text = TinyModel.Instance.CreateDetokenizer();

        string[] steps = [.. TinyModel.Instance.Tokenize("é🙂", parseSpecial: false).Select(text.Append)];

        Assert.Equal(["", "é", "", "", "", "🙂"], steps);
        Assert.Equal("", text.Finish());
    }

    [Fact]
    public void A_character_that_never_ends_is_replaced_at_the_end()
    {
        IDetokenizer text = TinyModel.Instance.CreateDetokenizer();
        int[] tokens = TinyModel.Instance.Tokenize("🙂", parseSpecial: false);

        Assert.Equal("", text.Append(tokens[0]) + text.Append(tokens[1]));
        Assert.Equal("\uFFFD", text.Finish());
    }

    [Fact]
    public void Special_text_becomes_a_control_token_only_when_asked_for()
    {
        LlamaTokenizer tokenizer = DemoModel.Instance.Tokenizer;

        Assert.Equal([1535], tokenizer.Tokenize("<|im_end|>", addSpecial: true, parseSpecial: true));
        Assert.DoesNotContain(1535, tokenizer.Tokenize("<|im_end|>", addSpecial: true, parseSpecial: false));
        Assert.True(tokenizer.IsSpecial(1535));
    }

    [Fact]
    public void Control_tokens_are_text_only_when_they_are_not_skipped()
    {
        Assert.Equal("", DemoModel.Instance.CreateDetokenizer().Append(1535));
        Assert.Equal("<|im_end|>", DemoModel.Instance.CreateDetokenizer(skipSpecial: false).Append(1535));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1536)]
    [InlineData(int.MaxValue)]
    public void A_token_outside_the_vocabulary_is_refused_in_managed_code(int token)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => DemoModel.Instance.TokenBytes(token).Length);
        Assert.False(DemoModel.Instance.IsEndOfGeneration(token));
    }

    [Fact]
    public void Threads_that_tokenize_together_get_what_each_gets_alone()
    {
        string[] texts = [.. Enumerable.Range(0, 200).Select(index => $"Remember: my code number {index} is {index * 7919 % 10007}.")];
        int[][] alone = [.. texts.Select(text => DemoModel.Instance.Tokenize(text, parseSpecial: false))];

        int[][] together = new int[texts.Length][];
        Parallel.For(0, texts.Length, new ParallelOptions { MaxDegreeOfParallelism = 4 }, index => together[index] = DemoModel.Instance.Tokenize(texts[index], parseSpecial: false));

        Assert.Equal(alone, together);
    }

    // 3,900 letters are enough to overflow 1.5 MB of stack in llama.cpp's regular expressions for these families.
    [Theory]
    [InlineData("tekken")]
    [InlineData("deepseek-v3")]
    [InlineData("gpt-4o")]
    [InlineData("bloom")]
    [InlineData("exaone-moe")]
    public void Long_runs_do_not_end_the_process_under_any_familys_regular_expressions(string preTokenizer)
    {
        using LlamaModel model = TinyModel.Load(GgufModelShape.Tiny with { PreTokenizer = preTokenizer });
        foreach (string part in new[] { "a", " ", "!", "1", "\n ", "a ", "中", "é1! " })
        {
            foreach (int length in new[] { TextSegments.ShortChars, 40_000 })
            {
                string text = string.Concat(Enumerable.Repeat(part, length / part.Length));
                int tokens = 0;
                Thread small = new(() => tokens = model.Tokenize(text, parseSpecial: false).Length, maxStackSize: 768 << 10);
                small.Start();
                small.Join();

                Assert.Equal(Encoding.UTF8.GetByteCount(text), tokens);
            }
        }
    }

    [Fact]
    public void A_long_text_gives_the_tokens_that_it_gives_uncut()
    {
        LlamaTokenizer tokenizer = DemoModel.Instance.Tokenizer;
        string text = string.Join("\n\n", Enumerable.Range(0, 3000).Select(index => $"Remember: Anna's code number {index} is {index * 31}. Grüße, Ben!"));

        int[] cut = tokenizer.Tokenize(text, addSpecial: true, parseSpecial: true);

        Assert.Equal(tokenizer.TokenizeWhole(text, addSpecial: true, parseSpecial: true), cut);
        Assert.InRange(text.Length, 3 * TextSegments.MaxChars, int.MaxValue);
    }

    [Fact]
    public void Segments_are_bounded_cover_the_text_and_keep_characters_whole()
    {
        foreach (string text in new[] { new string('a', 100_001), "a" + string.Concat(Enumerable.Repeat("🙂", 40_001)), string.Concat(Enumerable.Repeat("word ", 20_000)) })
        {
            int start = 0;
            while (start < text.Length)
            {
                int end = TextSegments.End(text, start);
                Assert.InRange(end - start, 1, TextSegments.MaxChars);
                Assert.False(end < text.Length && char.IsLowSurrogate(text[end]));
                start = end;
            }
            Assert.Equal(text.Length, start);
        }
    }
}
