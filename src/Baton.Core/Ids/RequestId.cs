namespace Baton.Core.Ids;

/// <summary>SGLang's <c>rid</c>: names one sequence on one worker, for abort and for logs. The client may choose it.</summary>
public readonly record struct RequestId(string Value)
{
    public override string ToString() => Value;
}
