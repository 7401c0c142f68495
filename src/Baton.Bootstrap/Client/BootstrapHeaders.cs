namespace Baton.Bootstrap.Client;

/// <summary>Paths and headers that Baton adds to SGLang's bootstrap protocol. JSON of SGLang's own routes gains nothing.</summary>
internal static class BootstrapHeaders
{
    /// <summary>On every response: changes when what decode cached about this server stops being true.</summary>
    public const string InstanceId = "X-SGLang-Disaggregation-Instance-ID";
    /// <summary>On every response of a Baton server: it has the routes below.</summary>
    public const string Protocol = "X-Baton-Bootstrap-Protocol";
    public const string ProtocolVersion = "1";
    /// <summary>On a Baton worker's PUT /route and DELETE /baton/v1/ranks: one random id per process.</summary>
    public const string Incarnation = "X-Baton-Worker-Incarnation";
    /// <summary>With the value <see cref="PrefillStopped"/> on a 503 of GET /route: the worker took its ranks back, and no other has come.</summary>
    public const string PrefillState = "X-Baton-Prefill";
    public const string PrefillStopped = "stopped";
    public const string RanksPath = "/baton/v1/ranks";
    public const string RoomsPath = "/baton/v1/rooms";
    public const string QueryPath = "/baton/v1/rooms/query";
}
