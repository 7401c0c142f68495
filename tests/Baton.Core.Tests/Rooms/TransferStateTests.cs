using Baton.Core.Rooms;

namespace Baton.Core.Tests.Rooms;

public sealed class TransferStateTests
{
    private static readonly TransferState[] All = Enum.GetValues<TransferState>();

    [Fact]
    public void Only_six_of_the_twenty_five_moves_are_legal()
    {
        (TransferState, TransferState)[] legal = [.. from a in All from b in All where a.CanMoveTo(b) select (a, b)];

        Assert.Equal(25, All.Length * All.Length);
        Assert.Equal(
            [
                (TransferState.Bootstrapping, TransferState.Failed),
                (TransferState.Bootstrapping, TransferState.WaitingForInput),
                (TransferState.WaitingForInput, TransferState.Failed),
                (TransferState.WaitingForInput, TransferState.Transferring),
                (TransferState.Transferring, TransferState.Failed),
                (TransferState.Transferring, TransferState.Success),
            ],
            legal);
    }

    [Theory]
    [InlineData(TransferState.Success)]
    [InlineData(TransferState.Failed)]
    public void A_finished_room_is_never_revived(TransferState end)
    {
        Assert.True(end.IsTerminal);
        Assert.DoesNotContain(All, next => end.CanMoveTo(next));
    }
}
