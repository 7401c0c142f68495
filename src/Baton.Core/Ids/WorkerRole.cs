namespace Baton.Core.Ids;

/// <summary>What a worker does: SGLang's <c>--disaggregation-mode</c>, where <c>null</c> is <see cref="Unified"/>.</summary>
public enum WorkerRole
{
    /// <summary>Both phases in one place: the baseline that prefill/decode is measured against.</summary>
    Unified,
    Prefill,
    Decode,
}
