namespace Baton.Core.Resolution;

/// <summary>What decode needs to know of a prefill worker before it can resolve or hand over anything.</summary>
/// <param name="DpSize">Number of prefill ranks.</param>
/// <param name="FollowsBootstrapRoom">The worker dispatches by <c>room % dp_size</c> and registers nothing.</param>
/// <param name="PageSize">KV page size in tokens; Baton's own is 1.</param>
/// <param name="KvCacheDtype">Raw text that the prefill side registered, or null.</param>
/// <param name="InstanceId">Changes when the instance behind the address is replaced; null when the server sends none (SGLang).</param>
/// <param name="HasWaitRoute">A Baton server: queries can park instead of being polled.</param>
public sealed record PrefillTopology(
    int DpSize, bool FollowsBootstrapRoom, int PageSize, string? KvCacheDtype, string? InstanceId, bool HasWaitRoute);
