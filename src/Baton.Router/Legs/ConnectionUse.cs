namespace Baton.Router.Legs;

/// <summary>Tells whether a request went out on a connection that had served another one before.</summary>
/// <remarks>
/// Only such a request may have met a connection that its worker closed in the meantime. The stream that writes it runs in the
/// request's own flow, so it finds the request's marker there.
/// </remarks>
internal sealed class ConnectionUse
{
    private static readonly AsyncLocal<ConnectionUse?> Ambient = new();

    public static ConnectionUse? Current
    {
        get => Ambient.Value;
        set => Ambient.Value = value;
    }

    /// <summary>Length of the request's body.</summary>
    public required long BodyBytes { get; init; }

    /// <summary>The connection had carried an answer already when this request was written to it.</summary>
    public bool WasReused { get; set; }

    /// <summary>Bytes came back, so the request arrived and must not be sent again.</summary>
    public bool GotBytes { get; set; }
}
