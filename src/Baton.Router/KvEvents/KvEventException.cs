namespace Baton.Router.KvEvents;

/// <summary>A publisher of KV events said what it may not say, or left. Its connection ends, and what it told is forgotten.</summary>
public sealed class KvEventException(string message) : Exception(message);
