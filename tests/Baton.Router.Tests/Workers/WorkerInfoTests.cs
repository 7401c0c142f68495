using System.Text;
using System.Text.Json;
using Baton.Router.Workers;

namespace Baton.Router.Tests.Workers;

public sealed class WorkerInfoTests
{
    [Fact]
    public void A_worker_may_say_that_it_has_4096_ranks_and_no_more()
    {
        Assert.Equal(4096, Parse("""{"dp_size":4096}""").DpSize);
        JsonException refused = Assert.Throws<JsonException>(() => Parse("""{"dp_size":4097}"""));
        Assert.Contains("dp_size 4097", refused.Message, StringComparison.Ordinal);
    }

    private static WorkerInfo Parse(string json) => WorkerInfo.Parse(Encoding.UTF8.GetBytes(json));
}
