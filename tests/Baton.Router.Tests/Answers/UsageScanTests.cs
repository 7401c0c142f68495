using System.Text;
using Baton.Router.Answers;

namespace Baton.Router.Tests.Answers;

/// <summary>Token counts read off the bytes of an answer, wherever the reads were cut.</summary>
public sealed class UsageScanTests
{
    private const string NativeStream = """
        data: {"text":"a \"completion_tokens\":7 b","meta_info":{"prompt_tokens":12,"completion_tokens":1}}

        data: {"text":"ab","meta_info":{"prompt_tokens":12,"completion_tokens":12345}}

        data: [DONE]


        """;

    private const string BatchStream = """
        data: {"index":0,"meta_info":{"prompt_tokens":3,"completion_tokens":1}}

        data: {"index":1,"meta_info":{"prompt_tokens":40,"completion_tokens":2}}

        data: {"index":0,"meta_info":{"prompt_tokens":3,"completion_tokens":600}}

        data: [DONE]


        """;

    private const string Whole = """{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens": 24,"completion_tokens": 110,"total_tokens":134}}""";
    private const string WholeBatch = """[{"meta_info":{"prompt_tokens":3,"completion_tokens":10}},{"meta_info":{"prompt_tokens":4,"completion_tokens":20}}]""";

    [Theory]
    [InlineData(NativeStream, true, false, 12, 12345)]
    [InlineData(BatchStream, true, true, 43, 602)]
    [InlineData(Whole, false, false, 24, 110)]
    [InlineData(WholeBatch, false, true, 7, 30)]
    [InlineData("data: [DONE]\n\n", true, false, 0, 0)]
    public void The_counts_are_the_same_wherever_the_answer_is_cut(string answer, bool isStream, bool isBatch, long prompt, long completion)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(answer);
        Assert.Equal((prompt, completion), Scan(isStream, isBatch, bytes));
        for (int cut = 1; cut < bytes.Length; cut++)
        {
            Assert.Equal((cut, prompt, completion), With(cut, Scan(isStream, isBatch, bytes[..cut], bytes[cut..])));
            byte[][] pieces = [.. bytes.Chunk(cut)];
            Assert.Equal((cut, prompt, completion), With(cut, Scan(isStream, isBatch, pieces)));
        }
    }

    private static (int Cut, long Prompt, long Completion) With(int cut, (long Prompt, long Completion) counts) => (cut, counts.Prompt, counts.Completion);

    private static (long Prompt, long Completion) Scan(bool isStream, bool isBatch, params byte[][] pieces)
    {
        UsageScan scan = new(isStream, isBatch);
        for (int i = 0; i < pieces.Length; i++) scan.Look(pieces[i], isLast: i == pieces.Length - 1);
        return (scan.Prompt, scan.Completion);
    }
}
