namespace Baton.Transfer.Wire;

/// <summary>The peer broke the hand-over protocol. Its link ends and the rooms on it fail with <c>TransferCorrupt</c>.</summary>
public sealed class KvProtocolException(string message) : Exception(message);
