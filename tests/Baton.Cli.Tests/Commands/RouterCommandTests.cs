using System.CommandLine;
using System.CommandLine.Help;
using System.Text.RegularExpressions;
using Baton.Bench.Conformance;
using Baton.Cli.Commands;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Testing;

namespace Baton.Cli.Tests.Commands;

public sealed partial class RouterCommandTests
{
    [Fact]
    public async Task Stopped_while_it_begins_to_listen_the_router_ends_in_order()
    {
        using CancellationTokenSource stopped = new();
        await stopped.CancelAsync();

        int exit = await RouterCommand.Create(TimeProvider.System)
            .Parse(["--host", "127.0.0.1", "--port", "0", "--prefill", "http://127.0.0.1:1", "none", "--decode", "http://127.0.0.1:2"]).InvokeAsync(cancellationToken: stopped.Token);

        Assert.Equal(0, exit);
    }

    [Fact]
    public async Task A_check_ends_with_0_when_every_worker_is_ready_and_with_1_when_one_is_not()
    {
        await using ScriptedWorker prefill = new(ConformanceStage.Ok), decode = new(ConformanceStage.Ok);
        string[] common = ["--check", "--host", "127.0.0.1", "--port", "0", "--prefill", prefill.Url, "none", "--decode", decode.Url];

        int ready = await RunAsync([.. common, "--worker-startup-timeout-secs", "30"]);
        int missing = await RunAsync([.. common, "--decode", "http://127.0.0.1:1", "--worker-startup-timeout-secs", "0.5"]);

        Assert.Equal((0, 1), (ready, missing));
        Assert.Equal(1, await RunAsync(["--check", "--host", "127.0.0.1", "--port", "0"]));
    }

    [Fact]
    public async Task A_workers_file_that_is_not_there_is_a_bad_argument_and_not_a_taken_port() =>
        Assert.Equal(ExitCodes.BadArguments, await RunAsync(["--dry-run", "--host", "127.0.0.1", "--workers-file", "/nowhere/workers.yaml"]));

    [Theory]
    [InlineData("- url: http://127.0.0.1:1\n  worker_type: decode\n", 0)]
    [InlineData("- url: http://127.0.0.1:1\n  worker_type: boss\n", 2)]
    public async Task A_dry_run_reads_everything_asks_nobody_and_ends_with_0_or_2(string file, int expected)
    {
        string path = Path.Combine(Path.GetTempPath(), $"baton-dry-{Guid.NewGuid():n}.yaml");
        try
        {
            await File.WriteAllTextAsync(path, file);

            int exit = await RunAsync(["--dry-run", "--host", "127.0.0.1", "--port", "1", "--prefill", "http://127.0.0.1:1", "none", "--workers-file", path, "--log-level", "warn"]);

            Assert.Equal(expected, exit);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_printed_configuration_has_every_option_and_no_key()
    {
        RouterOptions options = new() { ApiKeys = ["secret"], AdminKey = "hidden", Policy = "random" };

        string text = RouterConfigText.Of(options, [new() { Url = new Uri("http://p:1"), Role = WorkerRole.Prefill, ApiKey = "third" }]);

        Assert.Contains("Policy: random", text, StringComparison.Ordinal);
        Assert.Contains("Breaker.FailureThreshold: 10", text, StringComparison.Ordinal);
        Assert.Contains("worker: prefill http://p:1", text, StringComparison.Ordinal);
        Assert.All(["secret", "hidden", "third"], key => Assert.DoesNotContain(key, text, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("--port", "99999")]
    [InlineData("--port", "abc")]
    [InlineData("--retry-max-retries", "0")]
    [InlineData("--cb-failure-threshold", "-3")]
    [InlineData("--cache-threshold", "7")]
    [InlineData("--retry-jitter-factor", "NaN")]
    [InlineData("--queue-timeout-secs", "-5")]
    [InlineData("--health-check-endpoint", "nope")]
    [InlineData("--prometheus-port", "0")]
    [InlineData("--prometheus-duration-buckets", "0.1", "0.1")]
    [InlineData("--prometheus-duration-buckets", "0")]
    [InlineData("--prometheus-host", "nowhere.example", "--prometheus-port", "29000")]
    [InlineData("--client-cert-path", "/nowhere.pem")]
    [InlineData("--ca-cert-path", "/nowhere.pem")]
    [InlineData("--tls-cert-path", "/nowhere.pem", "--tls-key-path", "/nowhere.pem")]
    [InlineData("--health-check-port", "70000")]
    [InlineData("--rate-limit-tokens-per-second", "0")]
    [InlineData("--cors-allowed-origins", "https://page.example/app")]
    [InlineData("--worker-startup-check-interval", "0")]
    [InlineData("--log-level", "loud")]
    [InlineData("--log-level", "3")]
    [InlineData("--log-dir", "/dev/null/logs")]
    [InlineData("--service-discovery")]
    [InlineData("--selector", "app=sglang")]
    [InlineData("--selector", "app", "--service-discovery")]
    [InlineData("--expose-rout")]
    public async Task A_flag_with_nonsense_is_refused_by_name(params string[] flags)
    {
        using StringWriter said = new();
        ParseResult parse = RouterCommand.Create(TimeProvider.System).Parse([.. flags, "--host", "127.0.0.1", "--prefill", "http://127.0.0.1:1"]);

        int exit = await parse.InvokeAsync(new InvocationConfiguration { Error = said, Output = said });

        if (parse.Errors.Count > 0) Assert.Contains(parse.Errors, e => e.Message.Contains(flags[0], StringComparison.Ordinal));
        else Assert.Equal(ExitCodes.BadArguments, exit);
    }

    [Fact]
    public void A_mistyped_flag_behind_a_worker_is_not_taken_for_another_worker()
    {
        ParseResult parse = RouterCommand.Create(TimeProvider.System).Parse(["--prefill", "http://127.0.0.1:1", "--expose-rout"]);

        Assert.Contains(parse.Errors, e => e.Message.Contains("--expose-rout", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_document_lists_every_flag_in_the_words_of_the_help()
    {
        RootCommand root = new("baton") { RouterCommand.Create(TimeProvider.System) };
        ((HelpAction)root.Options.OfType<HelpOption>().Single().Action!).MaxWidth = int.MaxValue;
        using StringWriter help = new();
        await root.Parse(["router", "--help"]).InvokeAsync(new InvocationConfiguration { Output = help });
        string document = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "router.md"));

        IEnumerable<string> served = HelpLine().Matches(help.ToString()).Select(m => $"| `{InTable(m, "flag")}{InTable(m, "words")}` | {InTable(m, "text")} |");

        Assert.Equal(served, document.Split("\n## Flags\n")[1].Split('\n').Where(line => line.StartsWith("| `--", StringComparison.Ordinal)));
    }

    private static string InTable(Match match, string group) => match.Groups[group].Value.TrimEnd().Replace("|", "\\|", StringComparison.Ordinal);

    // A value's name says nothing new; a choice of words does.
    [GeneratedRegex(@"^  (?<flag>--[a-z-]+)((?<words> <[^>]*\|[^>]*>)| <[^>]*>)? {2,}(?<text>.*)$", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex HelpLine();

    private static Task<int> RunAsync(string[] args) => RouterCommand.Create(TimeProvider.System).Parse(args).InvokeAsync();
}
