using System.Collections.Frozen;
using Baton.Core.Failures;

namespace Baton.Bootstrap.Registry;

/// <summary>How a failed room's reason and text travel between prefill, the bootstrap server and decode.</summary>
internal static class FailedRoomText
{
    /// <summary>Longer texts are cut: the server keeps tens of thousands of them.</summary>
    public const int MaxLength = 512;

    private static readonly FrozenDictionary<string, FailureReason> ByCode =
        FailureReasons.All.Where(row => row.Reason != FailureReason.None).ToFrozenDictionary(row => row.Code, row => row.Reason, StringComparer.Ordinal);

    public static FailureReason? ReasonOf(string code) => ByCode.TryGetValue(code, out FailureReason reason) ? reason : null;

    public static string Cut(string message) => message.Length <= MaxLength ? message : message[..MaxLength];
}
