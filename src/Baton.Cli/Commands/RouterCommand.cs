using System.CommandLine;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Baton.Cli.Logs;
using Baton.Router;
using Baton.Router.Control;
using Baton.Router.Http;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Commands;

/// <summary><c>baton router</c>: the PD router in front of prefill, decode and unified workers.</summary>
internal static class RouterCommand
{
    private const int NotReady = 4;

    public static Command Create(TimeProvider time)
    {
        RouterFlags flags = new();
        Command command = new("router", "Routes requests to pairs of prefill and decode workers (SGLang's or Baton's), or to unified workers.");
        foreach (Option flag in flags.All) command.Add(flag);
        SglangFlags.AddTo(command, SglangFlags.OfRouter);
        command.SetAction((parse, ct) => RunAsync(flags, parse, time, ct));
        return command;
    }

    private static async Task<int> RunAsync(RouterFlags flags, ParseResult parse, TimeProvider time, CancellationToken ct)
    {
        try
        {
            (RouterOptions options, List<WorkerSpec> workers) = flags.Read(parse);
            if (parse.GetValue(flags.PrintConfig))
            {
                Console.WriteLine(RouterConfigText.Of(options, workers));
                return 0;
            }
            LogLevel level = parse.GetValue(flags.LogLevel);
            bool json = parse.GetValue(flags.LogJson);
            ulong seed = options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
            InlineSockets.Enable();
            using IDisposable? export = RouterTelemetry.Start(parse.GetValue(flags.EnableTrace), parse.GetValue(flags.OtlpEndpoint)!);
            // Before the server and so after it: its last lines are written, too.
            using LogFiles? files = parse.GetValue(flags.LogDir) is { } directory ? LogFiles.Open(directory, "baton-router", json, time) : null;
            await using RouterServer server = new(options, workers, time, seed, logging =>
            {
                logging.SetMinimumLevel(level);
                if (json) logging.AddJsonConsole();
                else logging.AddSimpleConsole(console => console.SingleLine = true);
                if (files is not null) logging.AddProvider(files);
            });
            if (parse.GetValue(flags.DryRun))
            {
                foreach (WorkerSpec worker in workers.Concat(options.WorkersFile is { } file ? WorkersFile.Read(file) : []))
                    Console.WriteLine($"{worker.Role,-8} {worker.Url.GetLeftPart(UriPartial.Authority)}{(worker.BootstrapPort is { } port ? $" bootstrap {port}" : "")}");
                return 0;
            }
            return parse.GetValue(flags.Check) ? await CheckAsync(server, options.WorkerStartupTimeout, ct) : await ServeAsync(server, options.WorkerStartupTimeout, time, ct);
        }
        catch (Exception e) when (e is FormatException or ArgumentException or JsonException or CryptographicException)
        {
            // Without the name of a parameter of ours, which nobody can look up.
            await Console.Error.WriteLineAsync(e.Message.Split(" (Parameter '")[0]);
            return ExitCodes.BadArguments;
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            await Console.Error.WriteLineAsync($"Cannot listen: {e.Message}");
            return ExitCodes.PortTaken;
        }
    }

    private static async Task<int> ServeAsync(RouterServer server, TimeSpan limit, TimeProvider time, CancellationToken ct)
    {
        try
        {
            await server.StartAsync(ct);
            IReadOnlyList<Worker> missing = await server.WaitUntilReadyAsync(limit, ct);
            // Some of several may come later; a router without any is a mistake that has to show.
            if (missing.Count > 0 && missing.Count == server.Router.Fleet.Now.All.Count)
            {
                await Console.Error.WriteLineAsync($"No worker became ready within {limit.TotalSeconds} s: {Describe(missing)}");
                return NotReady;
            }
            await Task.Delay(Timeout.InfiniteTimeSpan, time, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            await server.DrainAsync();
        }
        return 0;
    }

    private static async Task<int> CheckAsync(RouterServer server, TimeSpan limit, CancellationToken ct)
    {
        IReadOnlyList<Worker> missing;
        try
        {
            await server.StartAsync(ct);
            missing = await server.WaitUntilReadyAsync(limit, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("The check was stopped before every worker was ready.");
            return 1;
        }
        if (server.Router.Fleet.Now.All.Count == 0)
        {
            await Console.Error.WriteLineAsync("No worker is known, so there was nothing to check.");
            return 1;
        }
        foreach (Worker worker in server.Router.Fleet.Now.All)
            Console.WriteLine($"{worker.Status,-9} {worker.Role,-8} {worker.Url} dp_size {worker.DpSize} model {worker.ModelName ?? "unknown"}{(worker.Problem is { } problem ? ": " + problem : "")}");
        return missing.Count == 0 ? 0 : 1;
    }

    private static string Describe(IEnumerable<Worker> workers) => string.Join("; ", workers.Select(w => $"{w.Url} ({w.Role}): {w.Problem ?? "no answer yet"}"));
}
