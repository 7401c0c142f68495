namespace Baton.Router.Bodies;

/// <summary>The client's body cannot be routed; becomes a 400 with <see cref="Code"/>.</summary>
public sealed class BodyException(string code, string message) : Exception(message)
{
    public string Code { get; } = code;
}
