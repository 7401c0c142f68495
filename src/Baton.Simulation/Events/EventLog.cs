using System.Globalization;
using System.Runtime.CompilerServices;
using Baton.Core.Randomness;

namespace Baton.Simulation.Events;

/// <summary>What happened in a run, one line an event, virtual time first. Two runs with the same seed and configuration have the same lines.</summary>
/// <remarks>The hash is over the lines, so it is there without a file as well. Lines are formatted into one buffer: no allocation for most.</remarks>
public sealed class EventLog(TextWriter? writer = null, bool isDetailed = false)
{
    private readonly char[] _buffer = new char[1024];
    private ulong _hash = 0x42_61_74_6f_6e;

    /// <summary>Lines of steps, frames and calls are wanted as well, not only arrivals, ends and faults.</summary>
    public bool IsDetailed { get; } = isDetailed || writer is not null;

    public long LineCount { get; private set; }

    public void Add(TimeSpan at, [InterpolatedStringHandlerArgument("")] ref EventLine line) => Write(at, line.Text);

    /// <summary>A line that only a detailed log has. Costs nothing without.</summary>
    public void Detail(TimeSpan at, [InterpolatedStringHandlerArgument("")] ref EventDetail line)
    {
        if (IsDetailed) Write(at, line.Text);
    }

    /// <summary>The hash so far.</summary>
    public override string ToString() => $"{_hash:x16}";

    private void Write(TimeSpan at, ReadOnlySpan<char> text)
    {
        LineCount++;
        ulong hash = SeededRandom.Mix(_hash ^ (ulong)at.Ticks);
        foreach (char letter in text) hash = (hash ^ letter) * 0x100000001B3;
        _hash = SeededRandom.Mix(hash);
        if (writer is null) return;
        writer.Write(at.TotalSeconds.ToString("F7", CultureInfo.InvariantCulture));
        writer.Write(' ');
        writer.WriteLine(text);
    }

    internal Span<char> Buffer => _buffer;
}

/// <summary>Formats a line of an <see cref="EventLog"/>.</summary>
[InterpolatedStringHandler]
public ref struct EventLine(int literalLength, int formattedCount, EventLog log)
{
    private DefaultInterpolatedStringHandler _text = new(literalLength, formattedCount, CultureInfo.InvariantCulture, log.Buffer);

    internal readonly ReadOnlySpan<char> Text => _text.Text;

    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    public void AppendFormatted<T>(T value, string? format) => _text.AppendFormatted(value, format);
}

/// <summary>Formats a line that only a detailed <see cref="EventLog"/> has.</summary>
[InterpolatedStringHandler]
public ref struct EventDetail
{
    private DefaultInterpolatedStringHandler _text;

    public EventDetail(int literalLength, int formattedCount, EventLog log, out bool isWanted)
    {
        isWanted = log.IsDetailed;
        if (isWanted) _text = new DefaultInterpolatedStringHandler(literalLength, formattedCount, CultureInfo.InvariantCulture, log.Buffer);
    }

    internal readonly ReadOnlySpan<char> Text => _text.Text;

    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    public void AppendFormatted<T>(T value, string? format) => _text.AppendFormatted(value, format);
}
