using System.Text;
using System.Text.Json;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Text;

namespace Baton.LlamaCpp.Tests.Text;

public sealed class GrammarTests
{
    [Theory]
    [InlineData("root ::= \"yes\" | \"no\"")]
    [InlineData("root ::= [a-z]{1,1000}")]
    [InlineData("# a ( comment\nroot ::= \"((((((((((((((((((((((((((((((((((((((((((((((((((((\" [(([]")]
    public void A_valid_grammar_has_no_problem(string grammar) => Assert.Null(DemoModel.Instance.FindGrammarProblem(grammar));

    [Fact]
    public void The_json_grammar_is_valid() => Assert.Null(DemoModel.Instance.FindGrammarProblem(JsonGrammar.Object));

    [Theory]
    [InlineData("", "root")]
    [InlineData(" \n", "root")]
    [InlineData("# only a comment", "root")]
    [InlineData("not a grammar", "root")]
    [InlineData("start ::= \"x\"", "root")]
    [InlineData("root ::= root \"x\"", "root")]
    [InlineData("root ::= missing", "root")]
    [InlineData("root ::= \"a\0b\"", "zero")]
    [InlineData("root ::= \"a\"{1001}", "1000")]
    [InlineData("root ::= \"a\"{99999999999999}", "1000")]
    public void A_bad_grammar_is_refused_with_a_reason(string grammar, string reason) =>
        Assert.Contains(reason, DemoModel.Instance.FindGrammarProblem(grammar), StringComparison.Ordinal);

    [Fact]
    public void Nesting_length_rules_and_repetitions_have_limits_on_both_sides()
    {
        Assert.Null(GrammarLimits.FindExcess("root ::= " + new string('(', 32) + "\"a\"" + new string(')', 32)));
        Assert.Contains("32", GrammarLimits.FindExcess("root ::= " + new string('(', 33) + "\"a\"" + new string(')', 33)), StringComparison.Ordinal);
        Assert.Null(GrammarLimits.FindExcess(new string('#', GrammarLimits.MaxBytes)));
        Assert.NotNull(GrammarLimits.FindExcess(new string('#', GrammarLimits.MaxBytes + 1)));
        Assert.Null(GrammarLimits.FindExcess(string.Concat(Enumerable.Range(0, 1024).Select(rule => $"r{rule} ::= \"a\"\n"))));
        Assert.NotNull(GrammarLimits.FindExcess(string.Concat(Enumerable.Range(0, 1025).Select(rule => $"r{rule} ::= \"a\"\n"))));
        Assert.Null(GrammarLimits.FindExcess(string.Concat(Enumerable.Repeat("\"a\"{1000}", 10))));
        Assert.NotNull(GrammarLimits.FindExcess(string.Concat(Enumerable.Repeat("\"a\"{1000}", 11))));
    }

    [Fact]
    public void A_grammar_knows_which_tokens_may_come_next()
    {
        using LlamaGrammar grammar = LlamaGrammar.TryCreate(TinyModel.Instance.Tokenizer, "root ::= \"ab\"", out _)!;
        int a = TinyModel.Instance.Tokenize("a", parseSpecial: false)[0], b = TinyModel.Instance.Tokenize("b", parseSpecial: false)[0];
        int end = TinyModel.Instance.Tokenizer.EndTokens[^1];

        Assert.Equal((true, false, false), (grammar.Allows(a), grammar.Allows(b), grammar.Allows(end)));
        grammar.Accept(a);
        float[] logits = new float[TinyModel.Instance.Info.VocabSize];
        grammar.Mask(logits);
        Assert.Equal(0, logits[b]);
        Assert.Equal(1, logits.Count(float.IsFinite));
        grammar.Accept(b);
        Assert.True(grammar.Allows(end));
    }

    [Fact]
    public void Accepting_a_forbidden_token_throws_in_managed_code_and_the_process_lives()
    {
        using LlamaGrammar grammar = LlamaGrammar.TryCreate(TinyModel.Instance.Tokenizer, "root ::= \"ab\"", out _)!;

        Assert.Throws<ArgumentException>(() => grammar.Accept(5));
        Assert.False(grammar.Allows(-1));
        Assert.False(grammar.Allows(int.MaxValue));
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(1f)]
    public void Output_follows_the_grammar_to_its_end(float temperature)
    {
        using LlamaEngine engine = DemoModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 1 }, TimeProvider.System);
        int[] prompt = DemoModel.Instance.RenderChat([new("user", "My locker code is 4071. What is my locker code?")]);
        SamplingOptions sampling = new() { Temperature = temperature, Seed = 3, MaxNewTokens = 40, Grammar = """root ::= "{\"code\":" [0-9]{2,6} "}" """ };

        string answer = EngineDriver.Answer(engine, new SequenceId(0), prompt, sampling);

        Assert.Matches("^\\{\"code\":[0-9]{2,6}\\}$", answer);
    }

    [Fact]
    public void Json_mode_writes_json()
    {
        using LlamaEngine engine = DemoModel.Instance.CreateEngine(new LlamaEngineOptions { MaxSequences = 1 }, TimeProvider.System);
        int[] prompt = DemoModel.Instance.RenderChat([new("user", "Say hello.")]);
        int complete = 0;
        for (ulong seed = 0; seed < 12; seed++)
        {
            StringBuilder answer = new();
            List<Core.Engine.SampledToken> tokens = EngineDriver.Generate(
                engine, new SequenceId(0), prompt, new() { Temperature = 1.5f, Seed = seed, MaxNewTokens = 60, Grammar = JsonGrammar.Object });
            IDetokenizer text = DemoModel.Instance.CreateDetokenizer();
            foreach (Core.Engine.SampledToken token in tokens) answer.Append(text.Append(token.TokenId));
            Assert.StartsWith("{", answer.ToString(), StringComparison.Ordinal);
            if (!tokens[^1].IsEndOfGeneration) continue;
            complete++;
            using JsonDocument document = JsonDocument.Parse(answer.ToString());
            Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
        }
        Assert.InRange(complete, 1, 12);
    }

    [Fact]
    public void The_longest_chain_of_rules_fits_a_small_stack()
    {
        string chain = string.Concat(Enumerable.Range(0, 1022).Select(rule => $"r{rule} ::= r{rule + 1} | \"b\"\n"));
        string grammar = $"root ::= r0 | \"c\"\n{chain}r1022 ::= \"a\"";
        bool isAllowed = false;
        Thread small = new(() =>
        {
            using LlamaGrammar parsed = LlamaGrammar.TryCreate(TinyModel.Instance.Tokenizer, grammar, out _)!;
            isAllowed = parsed.Allows(TinyModel.Instance.Tokenize("a", parseSpecial: false)[0]);
        }, maxStackSize: 768 << 10);

        small.Start();
        small.Join();

        Assert.True(isAllowed);
    }

    [Fact]
    public void What_a_grammar_allows_it_also_accepts_whatever_the_tokens()
    {
        string[] grammars = [JsonGrammar.Object, "root ::= [^a-m]* \"é\" [🙂-🙏]+ .*", "root ::= ([^\\x00-\\x1F] | \"\\n\")*", "root ::= (\"a\" | \"ab\" | \"日本\")+ [0-9]{0,9}"];
        Random random = new(11);
        int accepted = 0;
        foreach (string text in grammars)
        {
            foreach (LlamaTokenizer tokenizer in new[] { TinyModel.Instance.Tokenizer, DemoModel.Instance.Tokenizer })
            {
                using LlamaGrammar grammar = LlamaGrammar.TryCreate(tokenizer, text, out _)!;
                float[] logits = new float[tokenizer.VocabSize];
                for (int step = 0; step < 40; step++)
                {
                    Array.Clear(logits);
                    grammar.Mask(logits);
                    int[] allowed = [.. Enumerable.Range(0, logits.Length).Where(token => logits[token] == 0)];
                    Assert.All(allowed, token => Assert.True(grammar.Allows(token)));
                    allowed = [.. allowed.Where(token => !tokenizer.IsEndOfGeneration(token))];
                    if (allowed.Length == 0) break;
                    grammar.Accept(allowed[random.Next(allowed.Length)]);
                    accepted++;
                }
            }
        }
        Assert.InRange(accepted, 200, 320);
    }

    [Fact]
    public void Damaged_grammars_are_parsed_or_refused_and_never_more()
    {
        const string Characters = "()[]{}\"\\|*+?:=-\n x0{9}ü";
        Random random = new(5);
        int refused = 0;
        for (int round = 0; round < 400; round++)
        {
            char[] text = JsonGrammar.Object.ToCharArray();
            for (int change = 0; change <= round % 5; change++) text[random.Next(text.Length)] = Characters[random.Next(Characters.Length)];
            if (DemoModel.Instance.FindGrammarProblem(new string(text)) is not null) refused++;
        }
        Assert.InRange(refused, 50, 399);
    }
}
