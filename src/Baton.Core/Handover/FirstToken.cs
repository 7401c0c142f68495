using Baton.Core.Requests;

namespace Baton.Core.Handover;

/// <summary>What the last frame of a hand-over carries: the token that prefill drew, and what decode needs to draw the next the same way.</summary>
/// <param name="Token">Drawn at position prompt length, with its log probability and alternatives.</param>
/// <param name="IsEndOfGeneration">The first token already ends the answer.</param>
/// <param name="Seed">Sampler state: decode goes on with prefill's seed, whatever its own leg said.</param>
/// <param name="CachedTokens">Prompt tokens that prefill did not have to compute.</param>
public sealed record FirstToken(OutputToken Token, bool IsEndOfGeneration, ulong Seed, int CachedTokens);
