using System.Text.Json;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Core.Text;
using Baton.Serving.Requests;

namespace Baton.Serving.Tests.Requests;

public sealed class RendezvousTests
{
    private static GenerationCall Read(string body, int dpSize = 4, WorkerRole role = WorkerRole.Decode)
    {
        SimulatedTextModel text = new();
        using SimulatedEngine engine = new(new SimulatedEngineOptions { VocabSize = text.VocabSize });
        CallContext context = new(text, engine.Info, role, dpSize, new RequestLimits(), seed: 1) { DefaultBootstrapPort = 4711 };
        using JsonDocument json = JsonDocument.Parse(body);
        return GenerateReader.Read(json.RootElement, context, headerRank: null);
    }

    private static string Refusal(string body, string field, WorkerRole role = WorkerRole.Decode)
    {
        BadRequestException bad = Assert.Throws<BadRequestException>(() => Read(body, role: role));
        Assert.Equal(field, bad.Field);
        return bad.Message;
    }

    [Fact]
    public void The_largest_room_keeps_all_its_bits()
    {
        GenerationCall call = Read("""{"text":"a","bootstrap_host":"h","bootstrap_room":9223372036854775807}""");

        Assert.Equal(new BootstrapRoom(9223372036854775807), call.Sequences[0].Bootstrap!.Room);
        Assert.Equal(new BootstrapAddress("h", 4711), call.Sequences[0].Bootstrap!.Address);
    }

    [Fact]
    public void A_room_may_be_written_as_a_string_and_a_host_with_brackets()
    {
        GenerationCall call = Read("""{"text":"a","bootstrap_host":"[::1]","bootstrap_port":9,"bootstrap_room":"9007199254740993"}""");

        Assert.Equal(9007199254740993UL, call.Sequences[0].Bootstrap!.Room.Value);
        Assert.Equal(new BootstrapAddress("::1", 9), call.Sequences[0].Bootstrap!.Address);
    }

    [Fact]
    public void A_scalar_room_counts_up_over_prompts_and_samples()
    {
        GenerationCall call = Read("""{"text":["a","b"],"sampling_params":{"n":2},"bootstrap_host":"h","bootstrap_room":10}""");

        Assert.Equal([10UL, 11UL, 12UL, 13UL], call.Sequences.Select(one => one.Bootstrap!.Room.Value));
    }

    [Fact]
    public void Lists_have_one_element_a_prompt_or_one_a_sequence()
    {
        GenerationCall call = Read("""
            {"text":["a","b"],"sampling_params":{"n":2},"bootstrap_host":["h","i"],"bootstrap_port":[1,2,3,4],
             "bootstrap_room":[5,6,7,8],"routed_dp_rank":[0,1],"disagg_prefill_dp_rank":[3,2,null,0]}
            """);

        Assert.Equal(["h:1", "h:2", "i:3", "i:4"], call.Sequences.Select(one => one.Bootstrap!.Address.ToString()));
        Assert.Equal([0, 0, 1, 1], call.Sequences.Select(one => one.RoutedDpRank!.Value.Value));
        Assert.Equal([3, 2, null, 0], call.Sequences.Select(one => one.Bootstrap!.PrefillDpRankHint?.Value));
    }

    [Theory]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_room":9223372036854775808}""", "bootstrap_room")]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_room":-1}""", "bootstrap_room")]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_room":1.5}""", "bootstrap_room")]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_room":0}""", "bootstrap_room")]
    [InlineData("""{"text":["a","b"],"bootstrap_host":"h","bootstrap_room":9223372036854775807}""", "bootstrap_room")]
    [InlineData("""{"text":["a","b"],"bootstrap_host":"h","bootstrap_room":[7]}""", "bootstrap_room")]
    [InlineData("""{"text":["a","b"],"bootstrap_host":"h","bootstrap_room":[7,7]}""", "bootstrap_room[1]")]
    [InlineData("""{"text":["a","b"],"sampling_params":{"n":2},"bootstrap_host":"h","bootstrap_room":[7,8]}""", "bootstrap_room")]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_port":0,"bootstrap_room":7}""", "bootstrap_port")]
    [InlineData("""{"text":"a","bootstrap_host":"a/b","bootstrap_room":7}""", "bootstrap_host")]
    [InlineData("""{"text":"a","bootstrap_room":7}""", "bootstrap_host")]
    [InlineData("""{"text":"a","bootstrap_host":"h"}""", "bootstrap_room")]
    [InlineData("""{"text":"a","bootstrap_host":"h","bootstrap_room":7,"disagg_prefill_dp_rank":-1}""", "disagg_prefill_dp_rank")]
    public void Bad_rendezvous_fields_are_refused_by_name(string body, string field) => Refusal(body, field);

    [Fact]
    public void A_hint_is_bounded_on_prefill_where_the_ranks_are_known()
    {
        const string Body = """{"text":"a","bootstrap_host":"h","bootstrap_room":7,"disagg_prefill_dp_rank":4}""";

        Assert.Equal("disagg_prefill_dp_rank=4 out of range [0, 4)", Refusal(Body, "disagg_prefill_dp_rank", WorkerRole.Prefill));
        Assert.Equal(4, Read(Body).Sequences[0].Bootstrap!.PrefillDpRankHint!.Value.Value);
    }

    [Fact]
    public void The_fake_host_needs_no_room()
    {
        Assert.True(Read("""{"text":"a","bootstrap_host":"2.2.2.2","bootstrap_room":0}""").Sequences[0].Bootstrap!.Address.IsFake);
        Assert.True(Read("""{"text":"a","bootstrap_host":"2.2.2.2"}""").Sequences[0].Bootstrap!.Address.IsFake);
    }

    [Fact]
    public void A_unified_worker_ignores_the_rendezvous()
    {
        Assert.Null(Read("""{"text":"a","bootstrap_host":"h","bootstrap_room":7}""", role: WorkerRole.Unified).Sequences[0].Bootstrap);
    }
}
