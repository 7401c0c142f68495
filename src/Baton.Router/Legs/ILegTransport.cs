using Baton.Router.Bodies;
using Baton.Router.Workers;

namespace Baton.Router.Legs;

/// <summary>Sends one leg to one worker. Real: HTTP. Scripted: tests and the simulator.</summary>
public interface ILegTransport
{
    /// <summary>Sends the request and returns at the response's head. Cancelling closes the connection at once.</summary>
    /// <exception cref="LegException">The connection could not be made, or broke before a head came.</exception>
    /// <exception cref="OperationCanceledException">Cancelled by <paramref name="ct"/>.</exception>
    Task<ILegResponse> SendAsync(LegRequest leg, CancellationToken ct);

    /// <summary>Tells a worker, as well as can be done without waiting, that a request is not wanted any more.</summary>
    void Abort(Worker worker, string requestId);
}

/// <summary>A response whose body is still to be read. Disposing it before the end closes the connection.</summary>
public interface ILegResponse : IAsyncDisposable
{
    int StatusCode { get; }

    /// <summary>Headers as received, several values of one name separately.</summary>
    IReadOnlyList<KeyValuePair<string, string>> Headers { get; }

    /// <summary>One header's first value, or null.</summary>
    string? Header(string name) => Headers.FirstOrDefault(h => h.Key.Equals(name, StringComparison.OrdinalIgnoreCase)).Value;

    /// <summary>Reads the next bytes of the body; 0 at its end.</summary>
    /// <exception cref="LegException">The connection broke.</exception>
    ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken ct);
}

/// <param name="Body">Owned by the transport from here on: it disposes it when the bytes are sent.</param>
/// <param name="Headers">To send besides content type and length.</param>
public sealed record LegRequest(Worker Worker, Uri Target, LegBody Body, IReadOnlyList<KeyValuePair<string, string>> Headers);

/// <summary>A leg's connection failed.</summary>
public sealed class LegException(string message, Exception? inner = null) : Exception(message, inner);
