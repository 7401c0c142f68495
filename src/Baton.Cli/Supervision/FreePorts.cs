using System.Net;
using System.Net.Sockets;

namespace Baton.Cli.Supervision;

/// <summary>Ports that nobody listens on.</summary>
internal static class FreePorts
{
    /// <summary>Asks the operating system for <paramref name="count"/> different free loopback ports.</summary>
    /// <remarks>They are free when this returns; another process may take one before our child does, which then fails to start.</remarks>
    public static int[] Take(int count)
    {
        // All are open at once, or the system might hand out the same one twice.
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        try
        {
            foreach (TcpListener listener in listeners) listener.Start();
            return [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        }
        finally
        {
            foreach (TcpListener listener in listeners) listener.Dispose();
        }
    }

    /// <summary>Whether a server could listen on this address now.</summary>
    /// <returns>Null when it could, else what the operating system says.</returns>
    public static string? WhyTaken(IPAddress address, int port)
    {
        try
        {
            using TcpListener listener = new(address, port);
            listener.Start();
            return null;
        }
        catch (SocketException refused)
        {
            return refused.Message;
        }
    }
}
