using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Logs;

/// <summary><c>--log-dir</c>: what the console shows, in files as well.</summary>
/// <remarks>
/// Who logs only queues a line, and one thread writes them: a slow disk holds up nobody. What finds the queue full is lost and counted.
/// Whoever opens it disposes of it, after the last line.
/// </remarks>
internal sealed class LogFiles : ILoggerProvider
{
    private const int QueuedLines = 8192;
    // A disk that hangs must not keep the process.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly BlockingCollection<string> _queue = new(QueuedLines);
    private readonly RollingFile _file;
    private readonly bool _asJson;
    private readonly TimeProvider _time;
    private readonly Thread _writer;
    private long _refused;
    private bool _isClosed;

    private LogFiles(RollingFile file, bool asJson, TimeProvider time)
    {
        (_file, _asJson, _time) = (file, asJson, time);
        _writer = new Thread(WriteAll) { Name = "log files", IsBackground = true };
        _writer.Start();
    }

    /// <param name="directory">Made when it is not there.</param>
    /// <param name="name">Of the file, without its end.</param>
    /// <exception cref="FormatException">It cannot be made or written.</exception>
    public static LogFiles Open(string directory, string name, bool asJson, TimeProvider time)
    {
        try
        {
            return new LogFiles(new RollingFile(directory, name), asJson, time);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new FormatException($"--log-dir '{directory}' cannot be written: {e.Message}", e);
        }
    }

    public ILogger CreateLogger(string categoryName) => new Category(this, categoryName);

    /// <summary>Returns once every queued line is written.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isClosed, true)) return;
        _queue.CompleteAdding();
        if (_writer.Join(Patience)) _queue.Dispose();
    }

    private void WriteAll()
    {
        foreach (string line in _queue.GetConsumingEnumerable())
        {
            _file.Lose(Interlocked.Exchange(ref _refused, 0));
            _file.Write(line);
            if (_queue.Count == 0) _file.Flush();
        }
        _file.Dispose();
    }

    private void Add(string line)
    {
        try
        {
            if (!_queue.TryAdd(line)) Interlocked.Increment(ref _refused);
        }
        catch (Exception e) when (e is InvalidOperationException or ObjectDisposedException)
        {
            // Said after the end: the console has it.
        }
    }

    private sealed class Category(LogFiles files, string name) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        // The factory's filters decide.
        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            DateTimeOffset now = files._time.GetUtcNow();
            string message = formatter(state, exception);
            files.Add(files._asJson ? LogLine.Json(now, logLevel, name, eventId, message, exception, state) : LogLine.Text(now, logLevel, name, eventId, message, exception));
        }
    }
}
