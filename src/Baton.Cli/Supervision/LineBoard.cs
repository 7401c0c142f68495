namespace Baton.Cli.Supervision;

/// <summary>The terminal of <c>baton up</c>: whole lines from many writers, each with its writer's name in front.</summary>
internal sealed class LineBoard(TextWriter output, int nameWidth)
{
    private readonly Lock _lock = new();

    /// <param name="name">Who speaks; the supervisor itself is <c>up</c>.</param>
    public void Write(string name, string line)
    {
        lock (_lock)
        {
            output.WriteLine($"{name.PadRight(nameWidth)} | {line}");
            output.Flush();
        }
    }

    /// <summary>A line without a name, for what a person copies from the screen.</summary>
    public void WriteBare(string line)
    {
        lock (_lock)
        {
            output.WriteLine(line);
            output.Flush();
        }
    }
}
