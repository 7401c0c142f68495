using System.Net;
using System.Text.Json.Nodes;

namespace Baton.Serving.Tests.Http;

public sealed class ControlTests
{
    [Fact]
    public async Task Server_info_has_the_arguments_and_one_state_a_rank()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { DpSize = 3 });

        JsonNode info = (await worker.GetAsync("/server_info")).Json;
        JsonNode old = (await worker.GetAsync("/get_server_info")).Json;

        Assert.Equal(3, (int)info["dp_size"]!);
        Assert.Equal("null", (string)info["disaggregation_mode"]!);
        Assert.Equal("least_work", (string)info["load_balance_method"]!);
        Assert.True((bool)info["pd_cancel_anytime"]!);
        Assert.Equal([0, 1, 2], info["internal_states"]!.AsArray().Select(state => (int)state!["dp_rank"]!));
        Assert.Equal((string)info["instance_id"]!, (string)old["instance_id"]!);
    }

    [Fact]
    public async Task Health_generate_reaches_every_rank()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { DpSize = 3 });

        Reply reply = await worker.GetAsync("/health_generate");

        Assert.Equal(200, reply.Status);
        // A rank publishes its load behind the step that answered.
        await TestWorker.UntilAsync(() => worker.Worker.Ranks.All(rank => rank.Rank.Load.StepCount > 0));
    }

    [Fact]
    public async Task An_api_key_guards_everything_but_health_and_metrics()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { ApiKey = "sesame" });

        Assert.Equal(401, (await worker.PostAsync("/generate", """{"text":"a"}""")).Status);
        Assert.Equal(401, (await worker.PostAsync("/generate", """{"text":"a"}""", ("Authorization", "Bearer sesam"))).Status);
        Assert.Equal(200, (await worker.PostAsync("/generate", """{"text":"a"}""", ("Authorization", "bearer sesame"))).Status);
        Assert.Equal(401, (await worker.GetAsync("/server_info")).Status);
        Assert.Equal(200, (await worker.GetAsync("/health")).Status);
        Assert.Equal(200, (await worker.GetAsync("/metrics")).Status);
        Assert.Equal(200, (await worker.GetAsync("/ping")).Status);
    }

    [Fact]
    public async Task Metrics_count_this_worker_alone()
    {
        await using TestWorker other = await TestWorker.StartAsync();
        await using TestWorker worker = await TestWorker.StartAsync();
        await other.PostAsync("/generate", """{"text":"a","sampling_params":{"max_new_tokens":9}}""");
        await worker.PostAsync("/generate", """{"text":"abc","sampling_params":{"max_new_tokens":4}}""");

        string text = (await worker.GetAsync("/metrics")).Body;

        Assert.Contains("baton_request_accepted_total{role=\"unified\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_request_prompt_tokens_total{role=\"unified\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_request_output_tokens_total{role=\"unified\"} 4\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_request_ttft_seconds_count{role=\"unified\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_rank_cells{dp_rank=\"0\"}", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_a_413()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { Limits = new() { MaxBodyBytes = 1000 } });

        Reply reply = await worker.PostAsync("/generate", $$"""{"text":"{{new string('x', 2000)}}"}""");

        Assert.Equal((int)HttpStatusCode.RequestEntityTooLarge, reply.Status);
        Assert.Equal("payload_too_large", (string)reply.Json["error"]!["code"]!);
    }

    [Fact]
    public async Task An_unknown_path_is_a_404_in_JSON()
    {
        await using TestWorker worker = await TestWorker.StartAsync();

        Reply reply = await worker.GetAsync("/nothing");

        Assert.Equal(404, reply.Status);
        Assert.Equal("not_found", (string)reply.Json["error"]!["code"]!);
    }

    [Fact]
    public async Task Get_load_is_a_list_of_ranks()
    {
        await using TestWorker worker = await TestWorker.StartAsync(TestWorker.Simulated with { DpSize = 2 });

        JsonArray loads = (await worker.GetAsync("/get_load")).Json.AsArray();

        Assert.Equal([0, 1], loads.Select(load => (int)load!["dp_rank"]!));
    }
}
