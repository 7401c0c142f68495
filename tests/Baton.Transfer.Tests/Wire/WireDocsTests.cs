using Baton.Testing;
using Baton.Transfer.Wire;

namespace Baton.Transfer.Tests.Wire;

/// <summary>docs/wire-protocol.md says what the code does.</summary>
public sealed class WireDocsTests
{
    private static readonly string Docs = File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "wire-protocol.md"));

    [Fact]
    public void Every_frame_type_has_its_row_with_its_number()
    {
        Assert.All(Enum.GetValues<KvFrameType>().Where(type => type != KvFrameType.None), type => Assert.Contains($"| {(int)type} | `{type}` |", Docs, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Claim")]
    [InlineData("Credit")]
    public void The_examples_are_golden_bytes(string name)
    {
        IEnumerable<string> lines = Docs.Split('\n').Select(line => line.Replace(" ", "", StringComparison.Ordinal));

        Assert.Contains(GoldenBytes.Hex[name], lines);
    }

    [Fact]
    public void The_bounds_are_the_defaults()
    {
        TransferOptions options = new();

        Assert.Contains($"{options.MaxEarlyClaims:N0} of them, {options.EarlyClaimTimeout.TotalSeconds} s", Docs, StringComparison.Ordinal);
        Assert.Contains($"every {options.DirectoryInterval.TotalMilliseconds} ms", Docs, StringComparison.Ordinal);
        Assert.Contains($"for {options.EndedRoomTime.TotalSeconds} s, {options.MaxEndedRooms:N0} rooms", Docs, StringComparison.Ordinal);
        Assert.Contains($"{options.WindowBytes >> 20} MiB", Docs, StringComparison.Ordinal);
        Assert.Contains($"at most {options.MaxUnauthenticated} connections in the handshake", Docs, StringComparison.Ordinal);
        Assert.Contains($"at least {TransferOptions.MinSecretLength} characters", Docs, StringComparison.Ordinal);
    }
}
