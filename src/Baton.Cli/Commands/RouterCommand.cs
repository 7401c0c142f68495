using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Core.Ids;
using Baton.Router;
using Baton.Router.Choice;
using Baton.Router.Http;
using Baton.Router.Rooms;
using Baton.Router.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Commands;

/// <summary><c>baton router</c>: the PD router in front of prefill, decode and unified workers.</summary>
internal static class RouterCommand
{
    private const int BadArguments = 2;
    private const int BindFailed = 3;

    private static readonly RouterOptions Defaults = new();

    private static readonly Option<string> Host = new("--host") { Description = "Address to listen on.", DefaultValueFactory = _ => Defaults.Host };
    private static readonly Option<int> Port = new("--port") { Description = "Port to listen on; 0 takes a free one.", DefaultValueFactory = _ => Defaults.Port };
    private static readonly Option<bool> PdDisaggregation = new("--pd-disaggregation") { Description = "Accepted for SGLang's command lines; any --prefill implies it." };

    private static readonly Option<List<WorkerSpec>> Prefill = new("--prefill")
    {
        Description = "A prefill worker: URL [BOOTSTRAP_PORT|none]. Repeatable.",
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = true,
        CustomParser = ParsePrefills,
    };

    private static readonly Option<string[]> Decode = new("--decode") { Description = "A decode worker's URL. Repeatable.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string[]> Unified = new("--worker") { Description = "A unified worker's URL. Repeatable.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string?> Policy = Policies("--policy", "How workers and ranks are chosen.", Defaults.Policy);
    private static readonly Option<string?> PrefillPolicy = Policies("--prefill-policy", "Overrides --policy for prefill.", null);
    private static readonly Option<string?> DecodePolicy = Policies("--decode-policy", "Overrides --policy for decode.", null);

    private static readonly Option<DpMode> Mode = new("--dp-mode")
    {
        Description = "auto: choose ranks of workers that report dp_size > 1. off: the worker chooses.",
        DefaultValueFactory = _ => Defaults.DpMode,
    };

    private static readonly Option<RoomMode> Room = new("--room-mode")
    {
        Description = "aligned: room % prefill dp_size is the prefill rank. random: uniform.",
        DefaultValueFactory = _ => Defaults.RoomMode,
    };

    private static readonly Option<ulong?> Seed = new("--seed") { Description = "Seed of rooms and random policies. Default: drawn at start." };
    private static readonly Option<long> MaxPayload = new("--max-payload-size") { Description = "Largest request body in bytes.", DefaultValueFactory = _ => Defaults.MaxPayloadSize };
    private static readonly Option<double> RequestTimeout = Seconds("--request-timeout-secs", "From first to last byte of one request.", Defaults.RequestTimeout);
    private static readonly Option<bool> ExposeRoute = new("--expose-route") { Description = "Add x-baton-prefill, x-baton-decode, ranks and room to every answer." };
    private static readonly Option<double> HealthInterval = Seconds("--health-check-interval-secs", "Between two health checks of a ready worker.", Defaults.HealthCheckInterval);
    private static readonly Option<double> HealthTimeout = Seconds("--health-check-timeout-secs", "For one health check.", Defaults.HealthCheckTimeout);
    private static readonly Option<string> HealthEndpoint = new("--health-check-endpoint") { Description = "What is asked.", DefaultValueFactory = _ => Defaults.HealthCheckEndpoint };
    private static readonly Option<int> HealthFailures = new("--health-failure-threshold") { Description = "Failed checks in a row that take a worker out.", DefaultValueFactory = _ => Defaults.HealthFailureThreshold };
    private static readonly Option<int> HealthSuccesses = new("--health-success-threshold") { Description = "Passed checks in a row that bring it back.", DefaultValueFactory = _ => Defaults.HealthSuccessThreshold };
    private static readonly Option<LogLevel> Level = new("--log-level") { Description = "Least severe line that is logged.", DefaultValueFactory = _ => LogLevel.Information };

    public static Command Create(TimeProvider time)
    {
        Command command = new("router", "Routes requests to pairs of prefill and decode workers (SGLang's or Baton's), or to unified workers.")
        {
            Host, Port, PdDisaggregation, Prefill, Decode, Unified, Policy, PrefillPolicy, DecodePolicy, Mode, Room, Seed, MaxPayload, RequestTimeout,
            ExposeRoute, HealthInterval, HealthTimeout, HealthEndpoint, HealthFailures, HealthSuccesses, Level,
        };
        command.SetAction((parse, ct) => RunAsync(parse, time, ct));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parse, TimeProvider time, CancellationToken ct)
    {
        List<WorkerSpec> workers;
        RouterServer server;
        try
        {
            workers = [.. parse.GetValue(Prefill) ?? [], .. Specs(parse.GetValue(Decode), WorkerRole.Decode), .. Specs(parse.GetValue(Unified), WorkerRole.Unified)];
            if (workers.Count == 0) throw new FormatException("No workers: give --prefill URL and --decode URL, or --worker URL.");
            ulong seed = parse.GetValue(Seed) ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
            LogLevel level = parse.GetValue(Level);
            server = new RouterServer(Options(parse), workers, time, seed, logging => logging.SetMinimumLevel(level).AddSimpleConsole(c => c.SingleLine = true));
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return BadArguments;
        }
        await using (server)
        {
            try
            {
                await server.StartAsync(ct);
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                await Console.Error.WriteLineAsync($"Cannot listen on {parse.GetValue(Host)}:{parse.GetValue(Port)}: {e.Message}");
                return BindFailed;
            }
            await server.WaitForShutdownAsync(ct);
            return 0;
        }
    }

    private static RouterOptions Options(ParseResult parse) => new()
    {
        Host = parse.GetValue(Host)!,
        Port = parse.GetValue(Port),
        Policy = parse.GetValue(Policy)!,
        PrefillPolicy = parse.GetValue(PrefillPolicy),
        DecodePolicy = parse.GetValue(DecodePolicy),
        DpMode = parse.GetValue(Mode),
        RoomMode = parse.GetValue(Room),
        MaxPayloadSize = parse.GetValue(MaxPayload),
        RequestTimeout = TimeSpan.FromSeconds(parse.GetValue(RequestTimeout)),
        ExposeRoute = parse.GetValue(ExposeRoute),
        HealthCheckInterval = TimeSpan.FromSeconds(parse.GetValue(HealthInterval)),
        HealthCheckTimeout = TimeSpan.FromSeconds(parse.GetValue(HealthTimeout)),
        HealthCheckEndpoint = parse.GetValue(HealthEndpoint)!,
        HealthFailureThreshold = parse.GetValue(HealthFailures),
        HealthSuccessThreshold = parse.GetValue(HealthSuccesses),
    };

    private static IEnumerable<WorkerSpec> Specs(string[]? urls, WorkerRole role) =>
        (urls ?? []).Select(url => new WorkerSpec { Url = WorkerSpec.ParseUrl(url), Role = role });

    /// <summary>URL, then optionally a port or the word none, any number of times.</summary>
    private static List<WorkerSpec>? ParsePrefills(ArgumentResult result)
    {
        List<WorkerSpec> found = [];
        foreach (string text in result.Tokens.Select(t => t.Value))
        {
            if (found.Count > 0 && text == "none") continue;
            if (found.Count > 0 && int.TryParse(text, out int port))
            {
                if (port is >= 1 and <= 65535)
                {
                    found[^1] = found[^1] with { BootstrapPort = port };
                    continue;
                }
                result.AddError($"--prefill {found[^1].Url}: {port} is not a port.");
                return null;
            }
            try
            {
                found.Add(new WorkerSpec { Url = WorkerSpec.ParseUrl(text), Role = WorkerRole.Prefill });
            }
            catch (FormatException e)
            {
                result.AddError($"--prefill: {e.Message}");
                return null;
            }
        }
        return found;
    }

    private static Option<string?> Policies(string name, string description, string? value)
    {
        Option<string?> option = new(name) { Description = description };
        if (value is not null) option.DefaultValueFactory = _ => value;
        option.AcceptOnlyFromAmong([.. RoutingPolicies.Names]);
        return option;
    }

    private static Option<double> Seconds(string name, string description, TimeSpan value) =>
        new(name) { Description = description + " Seconds.", DefaultValueFactory = _ => value.TotalSeconds };
}
