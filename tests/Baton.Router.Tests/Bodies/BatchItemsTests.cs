using System.Text;
using Baton.Router.Bodies;

namespace Baton.Router.Tests.Bodies;

public sealed class BatchItemsTests
{
    private static string[] Split(string json, DataEndpoint endpoint = DataEndpoint.Generate)
    {
        BatchItems items = new(ClientBodyReader.Read(Encoding.UTF8.GetBytes(json), endpoint));
        return [.. Enumerable.Range(0, items.Count).Select(i => Encoding.UTF8.GetString(items.Item(i).Utf8.Span))];
    }

    [Fact]
    public void Each_prompt_gets_its_own_element_of_every_list_and_a_copy_of_everything_else()
    {
        string[] items = Split("""
            {"text": ["a", "b\"]"], "sampling_params":[{"temperature":0.50},{"n":1}], "return_logprob":[true,false], "logprob_start_len":[0,-1],
             "top_logprobs_num":2, "token_ids_logprob":[[1],null], "rid":["x","y"], "image_data":[["u1","u2"],"u3"], "modalities":["image","video"], "other":[1, 2.50]}
            """);

        Assert.Equal("""
            {"text": "a", "sampling_params":{"temperature":0.50}, "return_logprob":true, "logprob_start_len":0,
             "top_logprobs_num":2, "token_ids_logprob":[1], "rid":"x", "image_data":["u1","u2"], "modalities":["image"], "other":[1, 2.50]}
            """, items[0]);
        Assert.Equal("""
            {"text": "b\"]", "sampling_params":{"n":1}, "return_logprob":false, "logprob_start_len":-1,
             "top_logprobs_num":2, "token_ids_logprob":null, "rid":"y", "image_data":"u3", "modalities":["video"], "other":[1, 2.50]}
            """, items[1]);
    }

    [Theory]
    [InlineData("""{"input_ids":[[1,2],[3]],"rid":"r","token_ids_logprob":[7,8],"image_data":[]}""", """{"input_ids":[3],"rid":"r_1","token_ids_logprob":[7,8],"image_data":[]}""", DataEndpoint.Generate)]
    [InlineData("""{"prompt":["a","b"],"stop":["x","y"],"rid":["p","q"],"sampling_params":[1]}""", """{"prompt":"b","stop":["x","y"],"rid":"q","sampling_params":[1]}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":[[1],[2]],"rid":"a","rid":["p","q"]}""", """{"prompt":[2],"rid":"a","rid":"q"}""", DataEndpoint.Completions)]
    [InlineData("""{"prompt":["a","b"],"rid":["p","q","r"],"rid":"s"}""", """{"prompt":"b","rid":["p","q","r"],"rid":"s_1"}""", DataEndpoint.Completions)]
    public void A_value_that_is_no_list_per_prompt_is_for_every_prompt(string batch, string second, DataEndpoint endpoint) => Assert.Equal(second, Split(batch, endpoint)[1]);

    [Fact]
    public void A_list_of_another_length_is_refused_by_name()
    {
        BodyException e = Assert.Throws<BodyException>(() => Split("""{"text":["a","b"],"rid":["x","y","z"]}"""));

        Assert.Equal("invalid_request_body", e.Code);
        Assert.Contains("rid has 3 elements for 2 prompts", e.Message, StringComparison.Ordinal);
    }
}
