namespace Baton.Bench;

/// <summary>The measurement cannot go on. The message says what to change; the command prints it alone.</summary>
public sealed class BenchException : Exception
{
    public BenchException(string message) : base(message)
    {
    }

    public BenchException(string message, Exception inner) : base(message, inner)
    {
    }
}
