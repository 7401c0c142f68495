using Baton.Bench.Load;
using Baton.Bench.Runs;
using Spectre.Console;

namespace Baton.Bench.Reports;

/// <summary>A progress line on standard error, so that standard output carries the report alone.</summary>
/// <remarks>Written by whichever thread ends a request, at most every <see cref="Interval"/>: a redraw thread of its own would steal time from the load.</remarks>
public sealed class ProgressObserver(IAnsiConsole console, TimeProvider time, bool isEnabled) : IBenchObserver
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);
    private const int BarCells = 30;
    private readonly Lock _lock = new();
    private long _startedAt;
    private long _drawnAt;
    private int _total;
    private int _ended;
    private int _failed;
    private long _tokens;

    public void OnPhase(string what) => console.MarkupLineInterpolated($"{what}");

    public void OnRunStarting(int requests)
    {
        _startedAt = _drawnAt = time.GetTimestamp();
        _total = requests;
        _ended = _failed = 0;
        _tokens = 0;
    }

    public void OnEnded(RequestRecord record)
    {
        int ended = Interlocked.Increment(ref _ended);
        if (!record.IsSuccess) Interlocked.Increment(ref _failed);
        Interlocked.Add(ref _tokens, record.OutputTokens);
        if (!isEnabled) return;
        bool isLast = ended == _total;
        if (!isLast && time.GetElapsedTime(Volatile.Read(ref _drawnAt)) < Interval) return;
        lock (_lock) Draw(ended, isLast);
    }

    private void Draw(int ended, bool isLast)
    {
        _drawnAt = time.GetTimestamp();
        double seconds = Math.Max(time.GetElapsedTime(_startedAt).TotalSeconds, 1e-3);
        int filled = ended * BarCells / Math.Max(_total, 1);
        string bar = new string('━', filled) + new string('╌', BarCells - filled);
        string left = isLast ? "done" : $"{seconds / ended * (_total - ended):F0} s left";
        console.Profile.Out.Writer.Write($"\r{bar} {ended}/{_total}  {ended / seconds:F1} req/s  {Volatile.Read(ref _tokens) / seconds:F0} tok/s  failed {_failed}  {left}   ");
        if (isLast) console.Profile.Out.Writer.WriteLine();
    }
}
