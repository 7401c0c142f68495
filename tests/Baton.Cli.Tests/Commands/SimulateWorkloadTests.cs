using System.CommandLine;
using System.Text.Json;
using Baton.Cli.Commands;
using Baton.Simulation.Clock;
using Baton.Simulation.Workloads;

namespace Baton.Cli.Tests.Commands;

public sealed class SimulateWorkloadTests
{
    [Theory]
    [InlineData("", "1000 requests, Poisson 10/s, prompt 1024, output 128, seed 7")]
    [InlineData("--arrivals constant --request-rate 4 --num-prompts 3 --prompt-tokens uniform:1,9 --output-tokens log-normal:50,0.5", "3 requests, constant 4/s, prompt uniform 1..9, output log-normal mean 50 sigma 0.5, seed 7")]
    [InlineData("--arrivals burst --burst-size 5 --burst-pause 250ms --num-prompts 20", "20 requests, bursts of 5 every 0.25 s, prompt 1024, output 128, seed 7")]
    [InlineData("--arrivals closed-loop --clients 3", "1000 requests, closed loop of 3, prompt 1024, output 128, seed 7")]
    [InlineData("--request-rate inf --num-prompts 2", "2 requests, all at once, prompt 1024, output 128, seed 7")]
    [InlineData("--conversations 5 --turns 2 --think-time 3s --system-prompt-tokens 1024", "5 conversations of 2 turns, seed 7")]
    public void Every_kind_of_workload_can_be_asked_for(string arguments, string description) => Assert.Equal(description, Draw(arguments).Description);

    [Fact]
    public void A_trace_is_read_from_its_file_stretched_and_cut()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, string.Concat(Enumerable.Range(0, 5).Select(i => $$"""{"timestamp": {{1000 * i}}, "input_length": 600, "output_length": 2, "hash_ids": [3, 4]}""" + "\n")));

            Workload workload = Draw($"--trace {file} --num-prompts 3 --mooncake-slowdown-factor 2");

            Assert.Equal([0.0, 2, 4], workload.Requests.Select(request => request.ArrivesAt.TotalSeconds));
            Assert.All(workload.Requests, request => Assert.Equal([3L, 4], request.HashIds));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("--clients 3", "--clients")]
    [InlineData("--burst-size 3", "--burst-size")]
    [InlineData("--turns 3", "--turns")]
    [InlineData("--mooncake-slowdown-factor 3", "--mooncake-slowdown-factor")]
    [InlineData("--conversations 3 --arrivals constant", "--arrivals")]
    [InlineData("--trace x --request-rate 3", "--request-rate")]
    [InlineData("--trace /no/such/file", "/no/such/file")]
    [InlineData("--prompt-tokens zipf:3", "--prompt-tokens")]
    [InlineData("--conversations 3 --request-rate inf", "--request-rate inf")]
    public void Options_that_would_be_ignored_or_cannot_be_read_are_refused(string arguments, string expected) =>
        Assert.Contains(expected, Assert.Throws<FormatException>(() => Draw(arguments)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("capacity --num-prompts 5")]                                                              // no goal
    [InlineData("capacity --slo-ttft 1s --ranks 4 --max-ranks 5")]
    [InlineData("capacity --slo-ttft 1s --ranks 1")]
    [InlineData("run --prefill 2")]
    [InlineData("run --cost-model fitted:/no/such/file")]
    [InlineData("run --chunked-prefill-size 1024")]                                                       // more than a batch
    [InlineData("run --context-length 100000")]                                                           // more than the cells
    [InlineData("run --load-balance-method follow_bootstrap_room")]                                       // the router chooses ranks
    [InlineData("fit /no/such/file")]
    [InlineData("ttft --cost-model nonsense")]
    public void A_simulation_that_cannot_be_run_as_asked_ends_with_the_code_for_bad_arguments(string arguments) =>
        Assert.Equal(ExitCodes.BadArguments, SimulateCommand.Create(new VirtualTimeProvider()).Parse(arguments.Split(' ')).Invoke());

    [Fact]
    public void A_capacity_search_writes_its_json_and_its_page()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string json = Path.Combine(folder, "c.json"), html = Path.Combine(folder, "c.html");

            int code = SimulateCommand.Create(new VirtualTimeProvider()).Parse(
                $"capacity --num-prompts 40 --request-rate 20 --prompt-tokens 800 --output-tokens 8 --slo-ttft 400ms --slo-itl 50ms --max-ranks 8 --cost-model fixed=2,prompt=0.1,row=0.2 --json {json} --html {html}".Split(' ')).Invoke();

            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(json));
            string page = File.ReadAllText(html);
            Assert.Equal(ExitCodes.Success, code);
            Assert.True(document.RootElement.GetProperty("found").GetProperty("holds").GetBoolean());
            Assert.Equal(5, page.Split("<svg").Length - 1);
            Assert.Equal(document.RootElement.GetProperty("tried").GetArrayLength(), page.Split("<tr>").Length - 2);
            Assert.DoesNotContain("NaN", page, StringComparison.Ordinal);
            Assert.DoesNotContain("http", page.Replace("http-equiv", "", StringComparison.Ordinal), StringComparison.Ordinal); // self-contained
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Workload Draw(string arguments)
    {
        SimulateWorkload workload = new();
        Command command = new("test");
        foreach (Option option in workload.All) command.Add(option);
        ParseResult parsed = command.Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Empty(parsed.Errors);
        return workload.Draw(parsed, seed: 7);
    }
}
