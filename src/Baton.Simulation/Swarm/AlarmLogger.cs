using Microsoft.Extensions.Logging;

namespace Baton.Simulation.Swarm;

/// <summary>Turns error lines of the production code into violations: there an exception that nobody expected was caught and logged.</summary>
internal sealed class AlarmLogger<T>(Action<string> alarm) : ILogger<T>
{
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel)) alarm($"{formatter(state, exception)} {exception}");
    }
}
