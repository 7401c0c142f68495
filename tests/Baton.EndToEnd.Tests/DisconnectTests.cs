using System.Text.Json.Nodes;
using Baton.EndToEnd.Tests.Clients;
using Baton.EndToEnd.Tests.Clusters;
using Baton.Testing.Processes;

namespace Baton.EndToEnd.Tests;

/// <summary>Clients that go away must not keep cells, slots or queue places on either side.</summary>
public sealed class DisconnectTests(SharedClusters clusters)
{
    private const int Clients = 64;

    [Fact]
    public async Task Sixty_four_clients_that_leave_at_random_moments_leave_every_cell_free()
    {
        UpProcess up = await clusters.DisaggregatedAsync();
        using GenerateClient client = new(up.Url);
        ReferenceAnswer[] reference = await clusters.ReferenceAsync();

        await Task.WhenAll(Enumerable.Range(0, Clients).Select(i => LeaveAtRandomAsync(client, reference, new Random(i))));

        foreach (string worker in up.ChildNames.Where(name => name != "router")) await WaitUntilIdleAsync(worker, up.ChildUrl(worker));
        ReferenceAnswer still = reference[60];
        Assert.Equal(still.Answer.TokenIds, (await client.GenerateAsync(still.Request)).TokenIds);
    }

    /// <summary>Three requests: left before the answer began, after some tokens, or read to the end.</summary>
    private static async Task LeaveAtRandomAsync(GenerateClient client, ReferenceAnswer[] reference, Random random)
    {
        for (int i = 0; i < 3; i++)
        {
            GenerateRequest request = reference[random.Next(reference.Length)].Request with { MaxNewTokens = 40, WithLogprobs = false };
            using CancellationTokenSource leaving = new();
            try
            {
                switch (random.Next(3))
                {
                    case 0:
                        leaving.CancelAfter(TimeSpan.FromMilliseconds(random.Next(200)));
                        await client.GenerateStreamedAsync(request, leaving.Token);
                        break;
                    case 1:
                        await client.StreamAndLeaveAsync(request, random.Next(20));
                        break;
                    default:
                        await client.GenerateAsync(request);
                        break;
                }
            }
            catch (OperationCanceledException) when (leaving.IsCancellationRequested)
            {
                // This client left before the answer came, as it should.
            }
        }
    }

    private static async Task WaitUntilIdleAsync(string worker, Uri url)
    {
        using HttpClient http = new() { BaseAddress = url };
        using CancellationTokenSource deadline = new(UpProcess.Patience);
        while (true)
        {
            string text = await http.GetStringAsync("v1/loads", deadline.Token);
            JsonArray loads = JsonNode.Parse(text)!["loads"]!.AsArray();
            Assert.Equal(2, loads.Count);
            if (loads.All(rank => IsIdle(rank!))) return;
            Assert.False(deadline.IsCancellationRequested, $"{worker} still holds something {UpProcess.Patience.TotalSeconds:0} s after the last client left: {text}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None);
        }
    }

    private static bool IsIdle(JsonNode rank) =>
        (int)rank["num_running_reqs"]! == 0 && (int)rank["num_waiting_reqs"]! == 0 && (int)rank["num_used_tokens"]! == 0;
}
