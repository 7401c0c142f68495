namespace Baton.Serving.Requests;

/// <summary>The client's request cannot be honoured: a 400 that names the field. Nothing has been dispatched.</summary>
/// <param name="field">Path of the field as the client wrote it, such as <c>sampling_params.top_p</c>; null for the body as a whole.</param>
/// <param name="message">Field, value and what is allowed.</param>
public sealed class BadRequestException(string? field, string message) : Exception(message)
{
    public string? Field { get; } = field;
}
