using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Logs;

/// <summary>One line of a log file: as the console has it, with the time in front.</summary>
internal static class LogLine
{
    public static string Text(DateTimeOffset at, LogLevel level, string category, EventId id, string message, Exception? exception) =>
        $"{at.UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ} {Short(level)}: {category}[{id.Id}] {InOne(message)}{(exception is null ? "" : " " + InOne(exception.ToString()))}";

    /// <param name="state">What the message was made of: its values by name where it has names.</param>
    public static string Json(DateTimeOffset at, LogLevel level, string category, EventId id, string message, Exception? exception, object? state)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteString("Timestamp", at.UtcDateTime);
            json.WriteNumber("EventId", id.Id);
            json.WriteString("LogLevel", level.ToString());
            json.WriteString("Category", category);
            json.WriteString("Message", message);
            if (exception is not null) json.WriteString("Exception", exception.ToString());
            if (state is IReadOnlyList<KeyValuePair<string, object?>> values)
            {
                json.WriteStartObject("State");
                foreach ((string name, object? value) in values) json.WriteString(name, Convert.ToString(value, CultureInfo.InvariantCulture));
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static string InOne(string text) => text.ReplaceLineEndings(" ");

    private static string Short(LogLevel level) => level switch
    {
        LogLevel.Trace => "trce",
        LogLevel.Debug => "dbug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "fail",
        _ => "crit",
    };
}
