using System.Text;
using System.Text.Json;
using Baton.Router.Bodies;

namespace Baton.Router.Tests.Bodies;

public sealed class ClientBodyTests
{
    private static ClientBody Read(string json, DataEndpoint endpoint = DataEndpoint.Generate) => ClientBodyReader.Read(Encoding.UTF8.GetBytes(json), endpoint);

    private static string Leg(ClientBody body, ByteEdits? edits = null, PairingFields? pairing = null, int? rank = null, int? hint = null)
    {
        using LegBody leg = LegBody.Write(body, edits, pairing, rank, hint);
        return Encoding.UTF8.GetString(leg.Utf8.Span);
    }

    [Fact]
    public void Members_that_are_not_ours_stay_as_they_were_written()
    {
        ClientBody body = Read("""{ "text" : "caf\u00e9" , "x": [1,  2.50e3] ,"deep":{"bootstrap_room":5}}""");

        string leg = Leg(body);

        Assert.Equal("""{"text" : "caf\u00e9" , "x": [1,  2.50e3] ,"deep":{"bootstrap_room":5}}""", leg);
    }

    [Theory]
    [InlineData("""{"bootstrap_room":7,"text":"a"}""")]
    [InlineData("""{"text":"a","bootstrap_room":7}""")]
    [InlineData("""{"bootstrap_host":"h","text":"a","bootstrap_room":[1,2],"routed_dp_rank":1}""")]
    [InlineData("""{"data_parallel_rank":1,"bootstrap_port":null,"text":"a","disagg_prefill_dp_rank":{"a":[]},"bootstrap_room":7,"bootstrap_room":8}""")]
    public void Every_copy_of_a_key_of_ours_is_dropped_and_ours_are_written(string json)
    {
        ClientBody body = Read(json);

        string leg = Leg(body, null, new PairingFields("[::1]", 8998, [long.MaxValue], false), 3, 2);

        Assert.Equal("""{"text":"a","bootstrap_host":"[::1]","bootstrap_port":8998,"bootstrap_room":9223372036854775807,"routed_dp_rank":3,"disagg_prefill_dp_rank":2}""", leg);
    }

    [Fact]
    public void A_batch_carries_lists_and_an_unknown_port_is_null()
    {
        ClientBody body = Read("""{"text":["a","b"]}""");

        string leg = Leg(body, null, new PairingFields("h", null, [1, 2], true));

        Assert.Equal("""{"text":["a","b"],"bootstrap_host":["h","h"],"bootstrap_port":[null,null],"bootstrap_room":[1,2]}""", leg);
    }

    [Fact]
    public void An_object_of_only_our_keys_becomes_an_object_of_our_values()
    {
        string leg = Leg(Read("""{"bootstrap_room":1}"""), null, new PairingFields("h", 1, [2], false));

        Assert.Equal("""{"bootstrap_host":"h","bootstrap_port":1,"bootstrap_room":2}""", leg);
    }

    [Theory]
    [InlineData(DataEndpoint.Generate, """{"text":"hello"}""", false, 1)]
    [InlineData(DataEndpoint.Generate, """{"text":["a"]}""", true, 1)]
    [InlineData(DataEndpoint.Generate, """{"text":["a","b","c"]}""", true, 3)]
    [InlineData(DataEndpoint.Generate, """{"input_ids":[1,2,3]}""", false, 1)]
    [InlineData(DataEndpoint.Generate, """{"input_ids":[[1],[2,3]]}""", true, 2)]
    [InlineData(DataEndpoint.Completions, """{"prompt":[5,6]}""", false, 1)]
    [InlineData(DataEndpoint.Completions, """{"prompt":["x","y"]}""", true, 2)]
    [InlineData(DataEndpoint.Completions, """{"prompt":[[1],[2],[3]]}""", true, 3)]
    [InlineData(DataEndpoint.Chat, """{"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}]}""", false, 1)]
    [InlineData(DataEndpoint.Chat, """{"prompt":["ignored","here"],"messages":[]}""", false, 1)]
    public void Batches_are_seen_where_the_endpoint_has_them(DataEndpoint endpoint, string json, bool batch, int size)
    {
        RequestFacts facts = Read(json, endpoint).Facts;

        Assert.Equal((batch, size), (facts.IsBatch, facts.BatchSize));
    }

    [Theory]
    [InlineData("[]", "invalid_request_body")]
    [InlineData("", "invalid_request_body")]
    [InlineData("{\"a\":1", "invalid_request_body")]
    [InlineData("{\"a\":1}}", "invalid_request_body")]
    [InlineData("{\"text\":[]}", "empty_batch")]
    [InlineData("{\"sampling_params\":{\"n\":0}}", "invalid_request_body")]
    public void What_cannot_be_routed_is_refused_with_its_code(string json, string code)
    {
        BodyException refused = Assert.Throws<BodyException>(() => Read(json));

        Assert.Equal(code, refused.Code);
    }

    [Fact]
    public void The_last_of_a_repeated_key_counts()
    {
        RequestFacts facts = Read("""{"stream":true,"model":"a","stream":false,"model":"b"}""").Facts;

        Assert.False(facts.Stream);
        Assert.Equal("b", facts.Model);
    }

    [Theory]
    [InlineData("return_logprob")]
    [InlineData("stream")]
    [InlineData("model")]
    [InlineData("echo")]
    [InlineData("priority")]
    [InlineData("logprobs")]
    [InlineData("sampling_params")]
    [InlineData("stream_options")]
    [InlineData("rid")]
    public void A_value_of_another_kind_than_expected_is_passed_on_whole(string name)
    {
        string json = $$"""{"{{name}}":{"text":[1],"bootstrap_room":7},"text":"x"}""";

        Assert.Equal(json, Leg(Read(json)));
    }

    [Fact]
    public void A_sample_of_n_has_n_one_its_own_seed_and_its_own_rid()
    {
        ClientBody body = Read("""{"n":4,"seed":10,"rid":"r","prompt":"p"}""", DataEndpoint.Completions);

        string leg = Leg(body, body.EditsForSample(2));

        Assert.Equal("""{"n":1,"seed":12,"rid":"r_2","prompt":"p"}""", leg);
    }

    [Fact]
    public void The_native_endpoint_keeps_n_inside_sampling_params()
    {
        ClientBody body = Read("""{"text":"a","n":9,"sampling_params":{"max_new_tokens":4,"n":3}}""");

        string leg = Leg(body, body.EditsForSample(1));

        Assert.Equal(3, body.Facts.SampleCount);
        Assert.Equal("""{"text":"a","n":9,"sampling_params":{"max_new_tokens":4,"n":1}}""", leg);
    }

    [Theory]
    [InlineData("""{"text":"a"}""")]
    [InlineData("""{"text":"a\\\"b","bootstrap_room":1,"messages":[{"x":"\"}{"}],"stream":true}""")]
    public void A_body_cut_at_any_byte_is_refused_and_never_misread(string json)
    {
        byte[] whole = Encoding.UTF8.GetBytes(json);

        for (int length = 0; length < whole.Length; length++)
        {
            byte[] cut = whole[..length];
            Assert.Throws<BodyException>(() => ClientBodyReader.Read(cut, DataEndpoint.Generate));
        }

        Assert.NotNull(ClientBodyReader.Read(whole, DataEndpoint.Generate));
    }

    [Fact]
    public void Legs_of_random_objects_hold_every_foreign_member_and_parse()
    {
        Random random = new(7);
        string[] names = ["bootstrap_room", "text", "a", "model", "n", "routed_dp_rank", "stream", "zz"];
        string[] values = ["1", "\"s\"", "null", "[1,[2]]", "{\"k\":\"v,}\"}", "true", "-0.5e-7"];
        for (int round = 0; round < 2000; round++)
        {
            List<(string Name, string Value)> members = [.. Enumerable.Range(0, random.Next(0, 7)).Select(_ => (names[random.Next(names.Length)], values[random.Next(values.Length)]))];
            members.RemoveAll(m => m.Name == "n" && m.Value is not ("1" or "null"));
            members.RemoveAll(m => m.Name == "text");
            string json = "{" + string.Join(round % 2 == 0 ? "," : " , ", members.Select(m => $"\"{m.Name}\":{m.Value}")) + "}";

            using JsonDocument leg = JsonDocument.Parse(Leg(Read(json), null, new PairingFields("h", 1, [5], false), 0));

            Assert.Equal(
                members.Where(m => m.Name is not ("bootstrap_room" or "routed_dp_rank")).Select(m => (m.Name, m.Value)),
                leg.RootElement.EnumerateObject().Where(p => names.Contains(p.Name) && p.Name is not ("bootstrap_room" or "routed_dp_rank")).Select(p => (p.Name, p.Value.GetRawText())));
        }
    }
}
