using System.Net;
using Baton.Bench.Conformance;
using Baton.Core.Ids;
using Baton.Router.Control;
using Baton.Router.Tests.Http;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Control;

public sealed class WorkersFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("baton-workers-");

    public void Dispose() => _folder.Delete(recursive: true);

    private string Write(string name, string text)
    {
        string file = Path.Combine(_folder.FullName, name);
        File.WriteAllText(file, text);
        return file;
    }

    private string Refusal(string name, string text) => Assert.Throws<FormatException>(() => WorkersFile.Read(Write(name, text))).Message;

    [Theory]
    [InlineData("w.yaml", "workers:\n- url: http://10.0.0.1:30001\n  worker_type: prefill\n  bootstrap_port: 8998\n  cost: 1.5\n  api_key: \"007\"\n  models: [qwen3]\n  labels: {zone: 1, spot: true}\n")]
    [InlineData("w.yml", "# comment\n- {url: http://10.0.0.1:30001, worker_type: prefill, bootstrap_port: '8998', cost: 1.5, api_key: 007, models: [qwen3], labels: {zone: '1', spot: 'true'}}\n")]
    [InlineData("w.YAML", """[{"url":"http://10.0.0.1:30001","worker_type":"prefill","bootstrap_port":8998,"cost":1.5,"api_key":"007","models":["qwen3"],"labels":{"zone":"1","spot":"true"}}]""")]
    [InlineData("w.json", """{"comment":{"a":[1]},"workers":[{"url":"http://10.0.0.1:30001","worker_type":"prefill","bootstrap_port":8998,"cost":1.5,"api_key":"007","models":["qwen3"],"labels":{"zone":"1","spot":"true"}}],"more":1}""")]
    [InlineData("w.json", "\uFEFF[{\"url\":\"http://10.0.0.1:30001\",\n\t\"worker_type\":\"prefill\",\"bootstrap_port\":8998,\"cost\":1.5,\"api_key\":\"007\",\"models\":[\"qwen3\"],\"labels\":{\"zone\":\"1\",\"spot\":\"true\"}}]")]
    public void The_same_worker_can_be_written_in_yaml_and_in_json(string name, string text)
    {
        WorkerSpec spec = Assert.Single(WorkersFile.Read(Write(name, text)));

        Assert.Equal(("http://10.0.0.1:30001/", WorkerRole.Prefill, 8998, 1.5, "007"), (spec.Url.ToString(), spec.Role, spec.BootstrapPort, spec.Cost, spec.ApiKey));
        Assert.Equal(["qwen3"], spec.Models);
        Assert.Equal([("spot", "true"), ("zone", "1")], spec.Labels.Select(l => (l.Key, l.Value)).Order());
    }

    [Theory]
    [InlineData("w.yaml", "[]")]
    [InlineData("w.yaml", "workers:\n")]
    [InlineData("w.json", "[]")]
    [InlineData("w.json", """{"workers":[]}""")]
    public void No_workers_are_a_list_of_none(string name, string text) => Assert.Empty(WorkersFile.Read(Write(name, text)));

    [Theory]
    [InlineData("- url: http://h:1\n  worker_type: decode\n- url: http://h:2\n  worker_type: prefill\n  bootstrap_port: 70000\n", 5, "bootstrap_port is 70000")]
    [InlineData("- url: http://h:1\n  bootstrap_port: many\n", 2, "bootstrap_port is not of the kind")]
    [InlineData("- url: http://h:1\n  labels:\n    zone: [1]\n", 2, "labels.zone is not of the kind")]
    [InlineData("- url: http://h:1\n  worker_type: boss\n", 2, "worker_type is 'boss'")]
    [InlineData("- url: http://h:1\n- worker_type: decode\n", 2, "url is missing")]
    [InlineData("\n- worker_type: decode\n  url: http://h:1/v1\n", 3, "url: 'http://h:1/v1' is not a base URL")]
    [InlineData("- url: http://h:1\n- url: http://h:1\n", 2, "url http://h:1/ is there twice")]
    [InlineData("- url: http://h:1\n  url: http://h:2\n", 2, "uplicate")]
    [InlineData("- url: http://h:1\n- just a word\n", 2, "the worker is not of the kind")]
    [InlineData("- url: http://h:1\n  models: [a\n", 3, "")]
    [InlineData("- &a\n  url: http://h:1\n  labels: *a\n", 2, "nested")]
    [InlineData("fleet:\n- url: http://h:1\n", 1, "list of workers")]
    public void What_is_wrong_in_yaml_is_named_with_its_line_and_field(string text, int line, string word)
    {
        string said = Refusal("w.yaml", text);

        Assert.Contains($"w.yaml, line {line}: ", said, StringComparison.Ordinal);
        Assert.Contains(word, said, StringComparison.Ordinal);
        Assert.DoesNotContain("Baton.", said, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[{\"url\":\"http://h:1\"},\n{\"url\":\"http://h:2\",\n\"bootstrap_port\":0}]", 3, "bootstrap_port is 0")]
    [InlineData("[\n{\"url\":5}]", 2, "url is not of the kind")]
    [InlineData("[{\"url\":\"http://h:1\"},\n\n}]", 3, "'}'")]
    [InlineData("[{\"url\":\"http://h:1\"}]\nx", 2, "'x'")]
    [InlineData("{\"a\":1}", 1, "list of workers")]
    [InlineData("", 1, "")]
    public void What_is_wrong_in_json_is_named_with_its_line_and_field(string text, int line, string word)
    {
        string said = Refusal("w.json", text);

        Assert.Contains($"w.json, line {line}: ", said, StringComparison.Ordinal);
        Assert.Contains(word, said, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_yaml_file_is_not_taken_for_an_empty_fleet() => Assert.Contains("written []", Refusal("w.yaml", ""), StringComparison.Ordinal);

    [Fact]
    public async Task A_yaml_file_that_breaks_keeps_the_fleet_and_says_where()
    {
        await using ScriptedWorker one = new(e => e.RespondAsync(200, "{}"));
        string file = Write("w.yaml", $"- url: {one.Url}\n");
        await using RouterHarness harness = await RouterHarness.StartAsync([], [], new RouterOptions { WorkersFile = file });

        await File.WriteAllTextAsync(file, $"- url: {one.Url}\n- url: http://h:1\n  dp_size: none\n");
        using HttpResponseMessage refused = await harness.PostAsync("/config/reload", "");

        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("line 3: dp_size", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(one.Url, Assert.Single(harness.Server.Router.Fleet.Now.All).Url);
    }
}
