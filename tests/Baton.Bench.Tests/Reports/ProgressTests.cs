using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Simulation.Clock;
using Spectre.Console;

namespace Baton.Bench.Tests.Reports;

public sealed class ProgressTests : IDisposable
{
    private readonly VirtualTimeProvider _time = new();
    private readonly StringWriter _text = new();

    public void Dispose() => _text.Dispose();

    [Fact]
    public void The_bar_shows_what_is_done_how_fast_what_failed_and_what_is_left()
    {
        ProgressObserver bar = Start(requests: 4);

        _time.Advance(TimeSpan.FromSeconds(1));
        bar.OnEnded(Record(outputTokens: 30));
        _time.Advance(TimeSpan.FromSeconds(1));
        bar.OnEnded(Record(outputTokens: 10, new RequestError(RequestErrorKind.Timeout, "", "late")));

        string[] drawn = _text.ToString().Split('\r', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, drawn.Length);
        Assert.Contains("1/4  1.0 req/s  30 tok/s  failed 0  3 s left", drawn[0], StringComparison.Ordinal);
        Assert.Contains("2/4  1.0 req/s  20 tok/s  failed 1  2 s left", drawn[1], StringComparison.Ordinal);
        Assert.Equal((15, 15), (drawn[1].Count(cell => cell == '━'), drawn[1].Count(cell => cell == '╌')));
    }

    [Fact]
    public void The_bar_is_drawn_at_most_every_200_ms_and_once_more_at_the_end()
    {
        ProgressObserver bar = Start(requests: 100);

        for (int i = 0; i < 100; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(11));
            bar.OnEnded(Record(outputTokens: 1));
        }

        string[] drawn = _text.ToString().Split('\r', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(["19", "38", "57", "76", "95", "100"], drawn.Select(line => line.Split('/')[0].Split(' ')[^1]));
        Assert.Contains("done", drawn[^1], StringComparison.Ordinal);
        Assert.EndsWith("\n", _text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_bar_that_is_not_wanted_is_not_drawn()
    {
        ProgressObserver bar = Start(requests: 1, isEnabled: false);

        bar.OnEnded(Record(outputTokens: 1));

        Assert.Empty(_text.ToString());
    }

    private ProgressObserver Start(int requests, bool isEnabled = true)
    {
        ProgressObserver bar = new(AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(_text) }), _time, isEnabled);
        bar.OnRunStarting(requests);
        return bar;
    }

    private static RequestRecord Record(int outputTokens, RequestError? error = null) =>
        new(0, new BenchRequest { Text = "a", PromptTokens = 1, OutputTokens = outputTokens }) { OutputTokens = outputTokens, Error = error };
}
