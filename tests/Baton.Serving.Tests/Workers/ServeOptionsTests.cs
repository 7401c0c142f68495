using Baton.Core.Ids;
using Baton.Serving.Workers;

namespace Baton.Serving.Tests.Workers;

public sealed class ServeOptionsTests
{
    private static ServeOptions Read(params (string Name, string Value)[] variables) =>
        new ServeOptions().FromEnvironment(name => variables.FirstOrDefault(one => one.Name == name).Value);

    [Fact]
    public void SGLangs_variables_set_what_they_set_there()
    {
        ServeOptions options = Read(
            ("SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT", "41"),
            ("SGLANG_DISAGGREGATION_WAITING_TIMEOUT", "42"),
            ("SGLANG_DISAGGREGATION_BOOTSTRAP_ENTRY_CLEANUP_INTERVAL", "43"),
            ("SGLANG_DISAGGREGATION_HEARTBEAT_INTERVAL", "4"),
            ("SGLANG_DISAGGREGATION_HEARTBEAT_MAX_FAILURE", "5"),
            ("SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK", "1"),
            ("BATON_CLUSTER_SECRET", "between us"));

        Assert.Equal(
            (41, 42, 43, 4, 5, true, "between us"),
            ((int)options.BootstrapTimeout.TotalSeconds, (int)options.WaitingTimeout.TotalSeconds, (int)options.BootstrapCleanupInterval!.Value.TotalSeconds,
                (int)options.HeartbeatInterval.TotalSeconds, options.HeartbeatMaxFailure, options.ForceQueryPrefillDpRank, options.ClusterSecret));
    }

    [Theory]
    [InlineData(300, 300, null, 300)]
    [InlineData(41, 300, null, 41)]
    [InlineData(300, 42, null, 42)]
    [InlineData(41, 42, 600, 600)]
    public void A_room_is_resolved_within_the_smaller_timeout_or_the_one_of_its_own(int bootstrap, int waiting, int? own, int seconds)
    {
        ServeOptions read = Read(("SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT", $"{bootstrap}"), ("SGLANG_DISAGGREGATION_WAITING_TIMEOUT", $"{waiting}"));

        ServeOptions options = own is { } flag ? read with { ResolveTimeout = TimeSpan.FromSeconds(flag) } : read;

        Assert.Equal(TimeSpan.FromSeconds(seconds), options.ToResolver().ResolveTimeout);
    }

    [Fact]
    public void Without_variables_everything_stays_as_it_was() => Assert.Equal(new ServeOptions(), Read());

    [Theory]
    [InlineData("SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT", "soon")]
    [InlineData("SGLANG_DISAGGREGATION_WAITING_TIMEOUT", "-1")]
    [InlineData("SGLANG_DISAGGREGATION_BOOTSTRAP_ENTRY_CLEANUP_INTERVAL", "NaN")]
    [InlineData("SGLANG_DISAGGREGATION_HEARTBEAT_MAX_FAILURE", "many")]
    [InlineData("SGLANG_DISAGGREGATION_FORCE_QUERY_PREFILL_DP_RANK", "perhaps")]
    public void A_variable_that_means_nothing_is_refused_by_name(string name, string value)
    {
        FormatException refused = Assert.Throws<FormatException>(() => Read((name, value)));

        Assert.Contains(name, refused.Message, StringComparison.Ordinal);
        Assert.Contains(value, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_variable_of_SGLang_that_does_nothing_here_is_pointed_out() => Assert.Equal(
        ["SGLANG_DISAGGREGATION_THREAD_POOL_SIZE"],
        ServeOptions.FindVariablesWithoutMeaning(["PATH", "SGLANG_DISAGGREGATION_THREAD_POOL_SIZE", "SGLANG_DISAGGREGATION_WAITING_TIMEOUT"]));

    [Theory]
    [InlineData("prefill-host:8998", "prefill-host", 8998)]
    [InlineData("[::1]:1", "::1", 1)]
    public void A_bootstrap_server_is_written_as_host_and_port(string text, string host, int port) =>
        Assert.Equal(BootstrapAddress.From(host, port), ServeOptions.ParseBootstrapServer(text));

    [Theory]
    [InlineData("prefill-host")]
    [InlineData(":8998")]
    [InlineData("prefill-host:0")]
    [InlineData("prefill-host:70000")]
    public void A_bootstrap_server_without_a_port_is_refused(string text) =>
        Assert.Contains(text, Assert.Throws<FormatException>(() => ServeOptions.ParseBootstrapServer(text)).Message, StringComparison.Ordinal);
}
