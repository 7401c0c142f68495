using Baton.Core.Ids;
using Baton.Core.Kv;

namespace Baton.Core.Tests.Kv;

public sealed class KvLedgerTests
{
    [Fact]
    public void A_reservation_that_does_not_fit_changes_nothing()
    {
        KvLedger ledger = new(cellCount: 8, maxSequences: 2);
        Assert.True(ledger.TryReserve(new SequenceId(0), 5));

        bool taken = ledger.TryReserve(new SequenceId(1), 4);

        Assert.False(taken);
        Assert.Equal(3, ledger.FreeCount);
        Assert.Equal(0, ledger.HeldBy(new SequenceId(1)));
    }

    [Fact]
    public void The_last_cell_can_be_reserved()
    {
        KvLedger ledger = new(cellCount: 8, maxSequences: 1);

        Assert.True(ledger.TryReserve(new SequenceId(0), 8));
        Assert.Equal(0, ledger.FreeCount);
    }

    [Fact]
    public void Releasing_returns_every_cell_of_that_owner_and_of_nobody_else()
    {
        KvLedger ledger = new(cellCount: 10, maxSequences: 2);
        ledger.TryReserve(new SequenceId(0), 3);
        ledger.TryReserve(new SequenceId(0), 2);
        ledger.TryReserve(new SequenceId(1), 4);

        int back = ledger.ReleaseAll(new SequenceId(0));

        Assert.Equal(5, back);
        Assert.Equal(6, ledger.FreeCount);
        Assert.Equal(4, ledger.HeldBy(new SequenceId(1)));
        Assert.Equal(0, ledger.ReleaseAll(new SequenceId(0)));
    }

    [Fact]
    public void A_negative_reservation_is_refused()
    {
        KvLedger ledger = new(cellCount: 4, maxSequences: 1);

        Assert.Throws<ArgumentOutOfRangeException>(() => ledger.TryReserve(new SequenceId(0), -1));
    }
}
