namespace Baton.Core.Failures;

/// <summary>An expected bad end, as a value: it flows through the same queues as success.</summary>
/// <param name="Reason">Never <see cref="FailureReason.None"/>.</param>
/// <param name="Message">What happened, where, with the values in it, and what to do.</param>
public sealed record RequestFailure(FailureReason Reason, string Message)
{
    /// <summary>Says what happened and appends the table's advice.</summary>
    public static RequestFailure Of(FailureReason reason, string whatHappened) => new(reason, $"{whatHappened} {reason.Row.Advice}");

    public override string ToString() => $"{Reason.Code}: {Message}";
}
