using Baton.Router.Legs;

namespace Baton.Router.Forwarding;

/// <summary>Reads what closes a finished stream, so that its connection can be used again. The client has its answer by then.</summary>
internal static class TailReader
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);

    public static async Task DrainAsync(ILegResponse response, TimeProvider time)
    {
        using CancellationTokenSource limit = new(Limit, time);
        byte[] rest = new byte[64];
        try
        {
            while (await response.ReadAsync(rest, limit.Token) > 0) { }
        }
        catch (Exception e) when (e is LegException or OperationCanceledException)
        {
            // The answer was complete; only the connection is lost.
        }
    }
}
