using System.Net;
using System.Net.Sockets;
using System.Text;
using Baton.Router.Legs;

namespace Baton.Router.Tests.Legs;

public sealed class HttpLegTransportTests
{
    [Fact]
    public async Task A_worker_whose_word_about_itself_never_ends_is_not_read_on()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        using HttpLegTransport transport = new(TimeSpan.FromSeconds(30), TimeProvider.System);
        Task<long> talking = TalkAsync(listener);

        LegException refused = await Assert.ThrowsAsync<LegException>(
            () => transport.CallAsync(HttpMethod.Get, $"http://{listener.LocalEndpoint}/server_info", null, null, TestContext.Current.CancellationToken));

        Assert.Contains("16777216", refused.Message, StringComparison.Ordinal);
        // The connection was closed on it: what it got rid of is what was read and what sockets hold.
        Assert.InRange(await talking, 16L << 20, 64L << 20);
    }

    /// <returns>Bytes sent until nobody took more.</returns>
    private static async Task<long> TalkAsync(TcpListener listener)
    {
        using Socket socket = await listener.AcceptSocketAsync();
        byte[] chunk = [.. "100000\r\n"u8, .. new byte[1 << 20], .. "\r\n"u8];
        long sent = 0;
        try
        {
            await socket.ReceiveAsync(new byte[4096]);
            await socket.SendAsync(Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"));
            while (sent < 256L << 20) sent += await socket.SendAsync(chunk);
        }
        catch (SocketException)
        {
            // Closed by the reader.
        }
        return sent;
    }
}
