using System.Text;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Serving.Output;
using Baton.Serving.Requests;

namespace Baton.Serving.Tests.Output;

/// <summary>Text from tokens, with the simulated vocabulary where a token is a byte: every border is a token border.</summary>
public sealed class AnswerTests
{
    private static Answer Create(OutputOptions output, SamplingOptions? sampling = null) => new(new PlannedSequence
    {
        Id = new RequestId("r"),
        PromptTokens = [1],
        Sampling = sampling ?? new SamplingOptions(),
        Output = output,
    }, new SimulatedTextModel());

    /// <summary>Feeds text byte by byte and returns what was visible after each, up to the stop.</summary>
    private static List<string> Feed(Answer answer, string text)
    {
        List<string> visible = [];
        foreach (byte one in Encoding.UTF8.GetBytes(text))
        {
            bool isStopped = answer.Append(new OutputToken(one, -1, null));
            visible.Add(answer.VisibleText.ToString());
            if (isStopped) break;
        }
        return visible;
    }

    private static GenerationEnd End(FinishKind kind = FinishKind.Length, int tokens = 0) =>
        new() { Kind = kind, DpRank = DpRank.Zero, CompletionTokens = tokens, Failure = kind == FinishKind.Abort ? RequestFailure.Of(FailureReason.Aborted, "x") : null };

    [Fact]
    public void A_character_of_four_tokens_comes_out_whole()
    {
        Answer answer = Create(OutputOptions.Default);

        Assert.Equal(["a", "a", "a", "a", "a🙂", "a🙂b"], Feed(answer, "a🙂b"));
    }

    [Fact]
    public void An_unfinished_character_becomes_a_replacement_at_the_end()
    {
        Answer answer = Create(OutputOptions.Default);
        answer.Append(new OutputToken(0xF0, -1, null));
        answer.Append(new OutputToken(0x9F, -1, null));

        answer.Finish(End());

        Assert.Equal("\uFFFD", answer.VisibleText.ToString());
    }

    [Fact]
    public void A_stop_string_over_token_borders_cuts_the_text_and_was_never_shown()
    {
        Answer answer = Create(OutputOptions.Default with { StopStrings = ["END"] });

        Assert.Equal(["x", "x", "xEx", "xEx", "xEx", "xEx"], Feed(answer, "xExENDtail"));
        answer.Finish(End(FinishKind.Abort, tokens: 9));

        Assert.Equal("END", answer.MatchedStop);
        Assert.Equal("xEx", answer.VisibleText.ToString());
        Assert.Equal(FinishKind.Stop, answer.End!.Kind);
        Assert.Null(answer.End.Failure);
        Assert.Equal(6, answer.End.CompletionTokens);
    }

    [Fact]
    public void What_was_held_back_comes_out_at_the_end()
    {
        Answer answer = Create(OutputOptions.Default with { StopStrings = ["END"] });
        Feed(answer, "xEN");
        Assert.Equal("x", answer.VisibleText.ToString());

        answer.Finish(End());

        Assert.Equal("xEN", answer.VisibleText.ToString());
    }

    [Fact]
    public void The_first_of_several_stop_strings_counts()
    {
        Answer answer = Create(OutputOptions.Default with { StopStrings = ["cd", "bcd", "abcde"] });

        Feed(answer, "xabcde");

        Assert.Equal("bcd", answer.MatchedStop);
        Assert.Equal("xa", answer.VisibleText.ToString());
    }

    [Fact]
    public void No_stop_trim_keeps_the_stop_string_and_nothing_behind_it()
    {
        Answer answer = Create(OutputOptions.Default with { StopStrings = ["\n\n"], KeepStop = true });

        Feed(answer, "a\n\nb");

        Assert.Equal("a\n\n", answer.VisibleText.ToString());
    }

    [Fact]
    public void A_stop_token_is_counted_and_is_no_text()
    {
        Answer answer = Create(OutputOptions.Default, new SamplingOptions { StopTokenIds = ['!'] });

        Feed(answer, "hi!");

        Assert.Equal("hi", answer.VisibleText.ToString());
        Assert.Equal(3, answer.Tokens.Count);
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 4)]
    public void A_stop_token_that_does_not_stop_is_text(bool ignoreEos, int minNewTokens)
    {
        Answer answer = Create(OutputOptions.Default with { IgnoreEos = ignoreEos },
            new SamplingOptions { StopTokenIds = ['!'], IgnoreEos = ignoreEos, MinNewTokens = minNewTokens });

        Feed(answer, "hi!");

        Assert.Equal("hi!", answer.VisibleText.ToString());
    }
}
