using System.Text.Json;
using Baton.Cli.Logs;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Tests.Logs;

public sealed class LogFilesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("baton-logs-");

    public void Dispose() => _folder.Delete(recursive: true);

    private string LogDirectory => Path.Combine(_folder.FullName, "made", "here");

    private string[] Lines(string file = "router.log") => File.ReadAllLines(Path.Combine(LogDirectory, file));

    [Fact]
    public void Every_line_is_in_the_file_once_it_is_closed_and_a_new_start_goes_on_in_it()
    {
        VirtualTimeProvider time = new();
        foreach (string start in new[] { "first", "second" })
        {
            using LogFiles files = LogFiles.Open(LogDirectory, "router", asJson: false, time);
            ILogger logger = files.CreateLogger("Baton.Test");
            for (int i = 0; i < 100; i++) logger.Log(LogLevel.Warning, new EventId(7), $"{start}\nstart {i}", null, (text, _) => text);
        }

        Assert.Equal(200, Lines().Length);
        Assert.Equal($"{time.GetUtcNow().UtcDateTime:yyyy-MM-ddTHH:mm:ss.fffZ} warn: Baton.Test[7] first start 0", Lines()[0]);
        Assert.EndsWith("second start 99", Lines()[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Under_json_a_line_is_an_object_with_the_messages_values_by_name()
    {
        using (LogFiles files = LogFiles.Open(LogDirectory, "router", asJson: true, new VirtualTimeProvider()))
            files.CreateLogger("Baton.Test").LogError(new EventId(3), new InvalidDataException("broken"), "{Worker}: lost\nafter {Seconds} s", "w1", 2.5);

        JsonElement line = JsonDocument.Parse(Assert.Single(Lines())).RootElement;
        Assert.Equal(("Error", "Baton.Test", 3, "w1: lost\nafter 2.5 s"), (line.GetProperty("LogLevel").GetString(), line.GetProperty("Category").GetString(), line.GetProperty("EventId").GetInt32(), line.GetProperty("Message").GetString()));
        Assert.Equal(("w1", "2.5"), (line.GetProperty("State").GetProperty("Worker").GetString(), line.GetProperty("State").GetProperty("Seconds").GetString()));
        Assert.Contains("broken", line.GetProperty("Exception").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_said_after_the_end_harms_nobody()
    {
        LogFiles files = LogFiles.Open(LogDirectory, "router", asJson: false, new VirtualTimeProvider());
        ILogger logger = files.CreateLogger("Baton.Test");
        files.Dispose();

        logger.LogWarning("late");
        files.Dispose();

        Assert.Empty(Lines());
    }

    [Fact]
    public void A_directory_that_cannot_be_made_is_refused_by_name()
    {
        string file = Path.Combine(_folder.FullName, "a-file");
        File.WriteAllText(file, "");

        FormatException refused = Assert.Throws<FormatException>(() => LogFiles.Open(file, "router", asJson: false, new VirtualTimeProvider()));

        Assert.StartsWith($"--log-dir '{file}' cannot be written: ", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_file_begins_anew_and_eight_are_kept()
    {
        using (RollingFile file = new(LogDirectory, "router", fileBytes: 8))
            // Two of these lines are 8 bytes.
            for (int i = 0; i < 20; i++) file.Write($"l{i:00}");

        Assert.Equal(["l18", "l19"], Lines());
        Assert.Equal(["l16", "l17"], Lines("router.1.log"));
        Assert.Equal(["l04", "l05"], Lines("router.7.log"));
        Assert.Equal(RollingFile.KeptFiles, Directory.GetFiles(LogDirectory).Length);
    }

    [Fact]
    public void A_disk_that_fails_costs_lines_and_their_number_is_told_when_it_is_back()
    {
        using (RollingFile file = new(LogDirectory, "router", fileBytes: 1))
        {
            file.Write("before");
            Directory.Delete(LogDirectory, recursive: true);
            file.Write("one");
            file.Lose(2);
            file.Write("two");
            Directory.CreateDirectory(LogDirectory);
            file.Write("after");
        }

        Assert.Equal(["after"], Lines());
        Assert.Equal(["4 log lines before this one were lost."], Lines("router.1.log"));
    }
}
