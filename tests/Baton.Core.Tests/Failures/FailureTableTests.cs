using Baton.Core.Failures;

namespace Baton.Core.Tests.Failures;

public sealed class FailureTableTests
{
    [Fact]
    public void Every_reason_has_its_own_row_in_the_order_of_the_enum()
    {
        FailureReason[] reasons = Enum.GetValues<FailureReason>();

        Assert.Equal(reasons, FailureReasons.All.Select(row => row.Reason));
        Assert.Equal(reasons.Length, FailureReasons.All.Select(row => row.Code).Distinct().Count());
        Assert.Equal(Enumerable.Range(0, reasons.Length), reasons.Select(reason => (int)reason)); // the numbers travel on the wire
    }

    [Fact]
    public void Every_failure_has_an_error_status_and_says_what_to_do()
    {
        Assert.All(FailureReasons.All.Skip(1), row =>
        {
            Assert.InRange(row.HttpStatus, 400, 599);
            Assert.EndsWith(".", row.Advice, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void A_clients_own_mistake_is_never_retryable()
    {
        Assert.DoesNotContain(FailureReasons.All, row => row.HttpStatus is >= 400 and < 500 && row.IsRetryable);
    }

    [Fact]
    public void A_number_from_a_newer_peer_reads_as_an_internal_error()
    {
        Assert.Equal("internal_error", ((FailureReason)200).Code);
    }
}
