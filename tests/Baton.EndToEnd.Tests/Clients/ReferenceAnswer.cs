namespace Baton.EndToEnd.Tests.Clients;

/// <summary>A prompt and what the unified server gave for it while it was alone there.</summary>
internal sealed record ReferenceAnswer(GenerateRequest Request, Generation Answer);
