using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Baton.Testing;

namespace Baton.Benchmarks;

/// <summary>Real Baton processes on loopback for one measurement: a prefill and a decode worker behind a router, or one unified worker.</summary>
internal sealed class BatonStack : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(120);
    private static readonly string[] Configurations = ["Release", "Debug"];
    private readonly List<Process> _processes = [];

    private BatonStack(string name, Uri url) => (Name, Url) = (name, url);

    public string Name { get; }
    /// <summary>Where requests go.</summary>
    public Uri Url { get; }

    public static async Task<BatonStack> PrefillDecodeAsync(string name, string[] prefill, string[] decode, string[] router)
    {
        int[] ports = FreePorts(4);
        BatonStack stack = new(name, Loopback(ports[0]));
        try
        {
            stack.Start(["serve", "--disaggregation-mode", "prefill", "--host", "127.0.0.1", "--port", $"{ports[1]}", "--disaggregation-bootstrap-port", $"{ports[2]}", "--log-level", "Warning", .. prefill]);
            stack.Start(["serve", "--disaggregation-mode", "decode", "--host", "127.0.0.1", "--port", $"{ports[3]}", "--log-level", "Warning", .. decode]);
            await stack.WaitHealthyAsync(Loopback(ports[1]));
            await stack.WaitHealthyAsync(Loopback(ports[3]));
            stack.Start(["router", "--host", "127.0.0.1", "--port", $"{ports[0]}", "--prefill", $"{Loopback(ports[1])}".TrimEnd('/'), $"{ports[2]}", "--decode", $"{Loopback(ports[3])}".TrimEnd('/'), "--log-level", "Warning", .. router]);
            await stack.WaitHealthyAsync(stack.Url);
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    public static async Task<BatonStack> UnifiedAsync(string name, params string[] worker)
    {
        int port = FreePorts(1)[0];
        BatonStack stack = new(name, Loopback(port));
        try
        {
            stack.Start(["serve", "--host", "127.0.0.1", "--port", $"{port}", "--log-level", "Warning", .. worker]);
            await stack.WaitHealthyAsync(stack.Url);
            return stack;
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    /// <summary>A unified worker with a router in front of it: two ways to the same ranks.</summary>
    public static async Task<(BatonStack Stack, Uri Worker)> UnifiedBehindRouterAsync(string name, string[] worker)
    {
        int[] ports = FreePorts(2);
        BatonStack stack = new(name, Loopback(ports[0]));
        try
        {
            stack.Start(["serve", "--host", "127.0.0.1", "--port", $"{ports[1]}", "--log-level", "Warning", .. worker]);
            await stack.WaitHealthyAsync(Loopback(ports[1]));
            stack.Start(["router", "--host", "127.0.0.1", "--port", $"{ports[0]}", "--worker", $"{Loopback(ports[1])}".TrimEnd('/'), "--log-level", "Warning"]);
            await stack.WaitHealthyAsync(stack.Url);
            return (stack, Loopback(ports[1]));
        }
        catch
        {
            await stack.DisposeAsync();
            throw;
        }
    }

    /// <summary>What else the machine did meanwhile: the kernel's load averages, in its own words. On two cores, more than 2 means that others wanted them too.</summary>
    public static string LoadAverage() => File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Trim() : "unknown";

    public async ValueTask DisposeAsync()
    {
        foreach (Process process in _processes)
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
        }
    }

    private void Start(string[] arguments)
    {
        ProcessStartInfo start = new(Executable()) { UseShellExecute = false };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        _processes.Add(Process.Start(start)!);
    }

    /// <summary>The newer of the Release and Debug builds of <c>baton</c>; <c>BATON</c> names another.</summary>
    private static string Executable()
    {
        if (Environment.GetEnvironmentVariable("BATON") is { Length: > 0 } given) return given;
        FileInfo? newest = Configurations
            .Select(configuration => new FileInfo(Path.Combine(RepositoryRoot.Path, "src", "Baton.Cli", "bin", configuration, "net10.0", "baton")))
            .Where(file => file.Exists).MaxBy(file => file.LastWriteTimeUtc);
        return newest?.FullName ?? throw new InvalidOperationException("No baton was built. Run: dotnet build -c Release src/Baton.Cli");
    }

    private async Task WaitHealthyAsync(Uri url)
    {
        using HttpClient http = new() { Timeout = TimeSpan.FromSeconds(5) };
        long start = Stopwatch.GetTimestamp();
        string last = "";
        while (Stopwatch.GetElapsedTime(start) < StartTimeout)
        {
            if (_processes.Find(process => process.HasExited) is { } ended)
                throw new InvalidOperationException($"A baton process of '{Name}' ended with code {ended.ExitCode} before {url} was healthy: {string.Join(' ', ended.StartInfo.ArgumentList)}");
            try
            {
                using HttpResponseMessage answer = await http.GetAsync(new Uri(url, "/health"));
                if (answer.IsSuccessStatusCode) return;
                last = answer.StatusCode.ToString();
            }
            catch (Exception notYet) when (notYet is HttpRequestException or TaskCanceledException)
            {
                last = notYet.Message;
            }
            await Task.Delay(200);
        }
        throw new InvalidOperationException($"{url} was not healthy within {StartTimeout.TotalSeconds} s: {last}");
    }

    private static Uri Loopback(int port) => new($"http://127.0.0.1:{port}");

    private static int[] FreePorts(int count)
    {
        TcpListener[] held = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener one in held) one.Start();
        int[] ports = [.. held.Select(one => ((IPEndPoint)one.LocalEndpoint).Port)];
        foreach (TcpListener one in held) one.Dispose();
        return ports;
    }
}
