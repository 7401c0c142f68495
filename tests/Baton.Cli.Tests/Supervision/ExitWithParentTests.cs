using Baton.Cli.Supervision;

namespace Baton.Cli.Tests.Supervision;

/// <summary>The promise from the child's side, kept by a real router process.</summary>
public sealed class ExitWithParentTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_child_ends_in_order_when_its_input_ends()
    {
        TaskCompletionSource listens = new(TaskCreationOptions.RunContinuationsAsynchronously);
        SelfExecutable baton = new("dotnet", [Path.Combine(AppContext.BaseDirectory, "baton.dll")]);
        ChildSpec router = new("router", ["router", "--host", "127.0.0.1", "--port", "0", "--worker", "http://127.0.0.1:9"], new Uri("http://127.0.0.1"));
        using ChildProcess child = new ChildLauncher(baton, new Dictionary<string, string>()).Start(router, line =>
        {
            if (line.Contains("listens on", StringComparison.Ordinal)) listens.TrySetResult();
        });
        await listens.Task.WaitAsync(Deadline);

        child.AskToStop();
        int code = await child.Exit.WaitAsync(Deadline);

        Assert.Equal(0, code);
    }
}
