using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Baton.Cli.Supervision;

/// <summary>Ports that nobody listens on.</summary>
internal static class FreePorts
{
    /// <summary>First of the ports that <see cref="Take"/> chooses from.</summary>
    public const int First = 20_000;
    /// <summary>Behind the last of them. Systems give ports from 32768 (Linux) or 49152 on to whoever asks for any, clients included.</summary>
    public const int End = 30_000;
    private const int Tries = 10_000;

    /// <summary>Finds <paramref name="count"/> different free loopback ports.</summary>
    /// <remarks>
    /// They are free when this returns, and our children listen on them a second later. Until then the system gives none of them to
    /// another socket of its own accord; a program that wants just this one may still take it, and then the child fails to start.
    /// </remarks>
    /// <param name="except">The port that clients use: it is free as well until the router listens there.</param>
    /// <exception cref="InvalidOperationException">Nearly all are taken.</exception>
    public static int[] Take(int count, int except)
    {
        HashSet<int> ports = [];
        for (int i = 0; i < Tries && ports.Count < count; i++)
        {
            int port = RandomNumberGenerator.GetInt32(First, End);
            if (port != except && WhyTaken(IPAddress.Loopback, port) is null) ports.Add(port);
        }
        return ports.Count == count ? [.. ports] : throw new InvalidOperationException($"Of the loopback ports {First} to {End - 1} hardly one is free, and {count} are needed. See who listens there.");
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
