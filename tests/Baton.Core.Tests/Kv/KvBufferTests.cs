using System.Diagnostics;
using Baton.Core.Kv;

namespace Baton.Core.Tests.Kv;

public sealed class KvBufferTests
{
    [Fact]
    public void A_buffer_has_exactly_the_length_that_was_asked_for()
    {
        using KvBuffer buffer = KvBuffer.Rent(1000);

        Assert.Equal(1000, buffer.Length);
        Assert.Equal(1000, buffer.Span.Length);
    }

    [Fact]
    public void Returning_twice_or_using_after_return_is_a_bug_that_shows_at_once()
    {
        KvBuffer buffer = KvBuffer.Rent(16);
        buffer.Dispose();

        Assert.Throws<UnreachableException>(() => buffer.Span.Length);
        Assert.Throws<UnreachableException>(buffer.Dispose);
    }

    [Fact]
    public void Its_observer_hears_of_the_one_return_and_of_no_second()
    {
        List<int> returned = [];
        KvBuffer buffer = KvBuffer.Rent(100);
        buffer.Returned = returned.Add;

        buffer.Dispose();

        Assert.Equal([100], returned);
        Assert.True(buffer.IsReturned);
        Assert.Throws<UnreachableException>(buffer.Dispose);
        Assert.Equal([100], returned);
    }
}
