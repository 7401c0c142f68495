using System.Text;
using Baton.Router.Answers;

namespace Baton.Router.Tests.Answers;

public sealed class EchoMergeTests
{
    private const string Prefill =
        """{"choices":[{"index":0,"text":"ab c","logprobs":{"tokens":["a","b","c"],"token_logprobs":[null,-1.50,-2],"text_offset":[0,1,2],"top_logprobs":[]}}]}""";

    private static string Apply(EchoMerge merge, string decode) => Encoding.UTF8.GetString(merge.Apply(Encoding.UTF8.GetBytes(decode)));

    [Fact]
    public void The_prompts_tokens_go_in_front_of_decodes_and_the_first_new_one_is_not_there_twice()
    {
        EchoMerge merge = EchoMerge.FromPrefill(Encoding.UTF8.GetBytes(Prefill), stream: false);

        string merged = Apply(merge, """{"id":"x", "choices":[{"index":0,"text":"abcd","logprobs":{"tokens":["c","d"],"token_logprobs":[-2,-3],"text_offset":[2,3],"top_logprobs":[]}}]}""");

        Assert.Equal(
            """{"id":"x", "choices":[{"index":0,"text":"abcd","logprobs":{"tokens":["a","b","c","d"],"token_logprobs":[null,-1.50,-2,-3],"text_offset":[0,1,2,3],"top_logprobs":[]}}]}""", merged);
    }

    [Fact]
    public void In_a_stream_only_the_first_increment_of_a_choice_gets_them()
    {
        EchoMerge merge = EchoMerge.FromPrefill(Encoding.UTF8.GetBytes($"data: {Prefill}\n\ndata: [DONE]\n\n"), stream: true);
        const string increment = """{"choices":[{"index":0,"logprobs":{"tokens":["c"],"token_logprobs":[-2],"text_offset":[],"top_logprobs":null}}]}""";

        string first = Apply(merge, increment), second = Apply(merge, increment);

        Assert.Equal("""{"choices":[{"index":0,"logprobs":{"tokens":["a","b","c"],"token_logprobs":[null,-1.50,-2],"text_offset":[0,1],"top_logprobs":null}}]}""", first);
        Assert.Equal(increment, second);
    }

    [Fact]
    public void A_worker_without_prompt_log_probabilities_changes_nothing()
    {
        EchoMerge merge = EchoMerge.FromPrefill("""{"choices":[{"index":0,"logprobs":{"tokens":["c"],"token_logprobs":[-2]}},{"index":1,"logprobs":null}]}"""u8, stream: false);
        const string decode = """{"choices":[{"index":1,"logprobs":{"tokens":["c"]}},{"index":0,"logprobs":{"tokens":["c"],"token_logprobs":[-2]}}]}""";

        Assert.Equal(decode, Apply(merge, decode));
    }
}
