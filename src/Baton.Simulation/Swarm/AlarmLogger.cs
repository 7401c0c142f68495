using Microsoft.Extensions.Logging;

namespace Baton.Simulation.Swarm;

/// <summary>Turns error lines of the production code into violations: there an exception that nobody expected was caught and logged.</summary>
internal sealed class AlarmLogger<T>(Action<string> alarm) : ILogger<T>
{
    /// <summary>The one error line that faults explain: a bootstrap server was silent for long.</summary>
    private const int ServerUnreachable = 2203;

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel) && eventId.Id != ServerUnreachable) alarm($"{formatter(state, exception)} {exception}");
    }
}
