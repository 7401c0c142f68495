using System.CommandLine;
using System.Net.Sockets;
using System.Security.Cryptography;
using Baton.Bootstrap.Server;
using Microsoft.Extensions.Logging;

namespace Baton.Cli.Commands;

/// <summary><c>baton bootstrap</c>: the bootstrap server alone, for prefill workers that share one.</summary>
internal static class BootstrapCommand
{
    private static readonly BootstrapServerOptions Defaults = new() { Seed = 0 };

    private static readonly Option<string> Host = new("--host") { Description = "Address to listen on.", DefaultValueFactory = _ => Defaults.Host };

    private static readonly Option<int> Port = new("--port", "--disaggregation-bootstrap-port")
    {
        Description = "Port to listen on; 0 takes a free one.",
        DefaultValueFactory = _ => Defaults.Port,
    };

    private static readonly Option<string?> Token = new("--bootstrap-token")
    {
        Description = $"Writes need 'Authorization: Bearer' with this. Default: {BootstrapServerOptions.WriteTokenVariable}, else writes are open.",
    };

    private static readonly Option<int> MaxRooms = new("--max-rooms")
    {
        Description = "Rooms that are remembered at the same time (about 40 bytes each).",
        DefaultValueFactory = _ => Defaults.RoomCapacity,
    };

    private static readonly Option<LogLevel> Level = new("--log-level") { Description = "Least severe line that is logged; info and warn are understood.", CustomParser = OptionText.Level, DefaultValueFactory = _ => LogLevel.Information };

    public static Command Create(TimeProvider time)
    {
        Command command = new("bootstrap", "Runs a bootstrap server alone: prefill ranks register here, decode workers (SGLang's or Baton's) look them up.")
        {
            Host, Port, Token, MaxRooms, Level,
        };
        command.SetAction((parse, ct) => RunAsync(parse, time, ct));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parse, TimeProvider time, CancellationToken ct)
    {
        LogLevel level = parse.GetValue(Level);
        using ILoggerFactory loggers = LoggerFactory.Create(logging => logging.SetMinimumLevel(level).AddSimpleConsole(c => c.SingleLine = true));
        BootstrapServer.PreferInlineSockets();
        BootstrapServer server;
        try
        {
            server = new BootstrapServer(Options(parse), time, loggers);
        }
        catch (FormatException e)
        {
            await Console.Error.WriteLineAsync(e.Message);
            return ExitCodes.BadArguments;
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
                return ExitCodes.PortTaken;
            }
            await UntilAsync(ct);
            return ExitCodes.Success;
        }
    }

    private static BootstrapServerOptions Options(ParseResult parse)
    {
        BootstrapServerOptions options = new BootstrapServerOptions
        {
            Seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)),
            Host = parse.GetValue(Host)!,
            Port = InRange("--port", parse.GetValue(Port), 0, 65_535),
            RoomCapacity = InRange("--max-rooms", parse.GetValue(MaxRooms), 1, 100_000_000),
        }.FromEnvironment(Environment.GetEnvironmentVariable);
        return parse.GetValue(Token) is { Length: > 0 } token ? options with { WriteToken = token } : options;
    }

    private static int InRange(string flag, int value, int min, int max) =>
        value >= min && value <= max ? value : throw new FormatException($"{flag} is {value}. Use {min} to {max}.");

    /// <summary>Ctrl-C and SIGTERM end it.</summary>
    private static async Task UntilAsync(CancellationToken ct)
    {
        TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = ct.Register(stopped.SetResult);
        await stopped.Task;
    }
}
