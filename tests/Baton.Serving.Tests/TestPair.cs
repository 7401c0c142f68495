using System.Text.Json.Nodes;
using Baton.Core.Ids;
using Baton.Serving.Workers;

namespace Baton.Serving.Tests;

/// <summary>A prefill and a decode worker in this process, with the real bootstrap server and real TCP between them.</summary>
internal sealed class TestPair : IAsyncDisposable
{
    private static long _nextRoom = 1L << 54;

    private TestPair(TestWorker prefill, TestWorker decode) => (Prefill, Decode) = (prefill, decode);

    public TestWorker Prefill { get; }

    public TestWorker Decode { get; }

    public int BootstrapPort => Prefill.Worker.Bootstrap!.Value.Port;

    public static async Task<TestPair> StartAsync(ServeOptions? prefill = null, ServeOptions? decode = null)
    {
        TestWorker first = await TestWorker.StartAsync((prefill ?? TestWorker.Simulated) with { Role = WorkerRole.Prefill });
        TestWorker second = await TestWorker.StartAsync((decode ?? TestWorker.Simulated) with { Role = WorkerRole.Decode });
        return new TestPair(first, second);
    }

    /// <summary>A room above 2^53 that no other test uses.</summary>
    public static long NextRoom() => Interlocked.Increment(ref _nextRoom);

    /// <summary>Adds the rendezvous fields to a body, for one leg.</summary>
    public string Leg(string body, long room, params (string Name, JsonNode? Value)[] more)
    {
        JsonObject json = JsonNode.Parse(body)!.AsObject();
        json["bootstrap_host"] = "127.0.0.1";
        json["bootstrap_port"] = BootstrapPort;
        json["bootstrap_room"] = room;
        foreach ((string name, JsonNode? value) in more) json[name] = value;
        return json.ToJsonString();
    }

    /// <summary>Both legs at once, as a router sends them.</summary>
    public async Task<(Reply Prefill, Reply Decode)> GenerateAsync(string body, long? room = null)
    {
        string leg = Leg(body, room ?? NextRoom());
        Task<Reply> prefill = Prefill.PostAsync("/generate", leg), decode = Decode.PostAsync("/generate", leg);
        return (await prefill, await decode);
    }

    public async ValueTask DisposeAsync()
    {
        await Decode.DisposeAsync();
        await Prefill.DisposeAsync();
    }
}
