namespace Baton.Bootstrap.Server;

/// <summary>A request that no correct client sends. Nothing was changed; the client is answered 4xx with the field's name.</summary>
internal sealed class BadFieldException(string field, string message, int status = 400) : Exception(message)
{
    /// <summary>The JSON key, the query parameter, or <c>body</c>.</summary>
    public string Field { get; } = field;

    public int Status { get; } = status;
}
