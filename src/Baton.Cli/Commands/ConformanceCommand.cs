using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Baton.Bench.Conformance;

namespace Baton.Cli.Commands;

/// <summary><c>baton conformance</c>: runs the conformance list against any PD router.</summary>
internal static class ConformanceCommand
{
    public static Command Create(TimeProvider time)
    {
        Option<string?> router = new("--router") { Description = "Base URL of the router under test." };
        Option<string?> apiKey = new("--api-key") { Description = "Bearer key of its data plane." };
        Option<string?> adminKey = new("--admin-key") { Description = "Bearer key of its control plane. Default: --api-key." };
        Option<int[]> prefillPorts = new("--prefill-port") { Description = "Drive the router without its control plane: listen on this port as a prefill worker. Repeatable.", AllowMultipleArgumentsPerToken = true };
        Option<int[]> decodePorts = new("--decode-port") { Description = "The same for a decode worker. Repeatable.", AllowMultipleArgumentsPerToken = true };
        Option<int> prefillDp = new("--prefill-dp-size") { Description = "Ranks that prefill workers on fixed ports report.", DefaultValueFactory = _ => 1 };
        Option<int> decodeDp = new("--decode-dp-size") { Description = "Ranks that decode workers on fixed ports report.", DefaultValueFactory = _ => 1 };
        Option<string> host = new("--host") { Description = "Address that the workers listen on, as the router reaches it.", DefaultValueFactory = _ => "127.0.0.1" };
        Option<string[]> only = new("--only") { Description = "Run only these checks, by id.", AllowMultipleArgumentsPerToken = true };
        Option<bool> list = new("--list") { Description = "Print the checks and end." };
        Option<bool> cacheAware = new("--cache-aware") { Description = "The router chooses prefill workers by cache_aware: run check 30." };
        Option<double> breaker = new("--breaker-open-secs") { Description = "How long the router keeps a breaker open (check 14). Seconds.", DefaultValueFactory = _ => 15 };
        Option<double> coupling = new("--coupling-limit-ms") { Description = "Limit for checks 09, 10 and 20. Milliseconds.", DefaultValueFactory = _ => 50 };
        Option<double> firstByte = new("--first-byte-limit-ms") { Description = "Limit for check 16. Milliseconds.", DefaultValueFactory = _ => 15 };

        Command command = new("conformance", "Checks a PD router, Baton's or another, against scripted workers of its own.");
        foreach (Option option in new Option[] { router, apiKey, adminKey, prefillPorts, decodePorts, prefillDp, decodeDp, host, only, list, cacheAware, breaker, coupling, firstByte }) command.Add(option);
        command.SetAction(async (parse, ct) =>
        {
            string[] ids = parse.GetValue(only) ?? [];
            ConformanceCheck[] checks = [.. ConformanceList.All.Where(c => ids.Length == 0 || ids.Contains(c.Id))];
            if (ids.Except(checks.Select(c => c.Id)).FirstOrDefault() is { } unknown) return await RefuseAsync($"--only {unknown}: no such check. See --list.");
            if (parse.GetValue(list))
            {
                foreach (ConformanceCheck check in checks) Console.WriteLine($"{check.Id,-6} {check.Title}: {check.Expected}");
                return 0;
            }
            if (!Uri.TryCreate(parse.GetValue(router), UriKind.Absolute, out Uri? url)) return await RefuseAsync("--router wants the router's base URL, for example http://127.0.0.1:30000.");
            if (!IPAddress.TryParse(parse.GetValue(host), out IPAddress? address)) return await RefuseAsync($"--host '{parse.GetValue(host)}' is no address.");
            ConformanceSettings settings = new()
            {
                Time = time,
                IsCacheAware = parse.GetValue(cacheAware),
                BreakerOpenTime = TimeSpan.FromSeconds(parse.GetValue(breaker)),
                CouplingLimit = TimeSpan.FromMilliseconds(parse.GetValue(coupling)),
                FirstByteLimit = TimeSpan.FromMilliseconds(parse.GetValue(firstByte)),
            };
            int[] prefill = parse.GetValue(prefillPorts) ?? [], decode = parse.GetValue(decodePorts) ?? [];
            if ((prefill.Length == 0) != (decode.Length == 0)) return await RefuseAsync("--prefill-port and --decode-port go together.");
            try
            {
                await using IConformanceFleet fleet = prefill.Length > 0
                    ? Fixed(new FixedFleet(url, parse.GetValue(apiKey), address, prefill, decode, parse.GetValue(prefillDp), parse.GetValue(decodeDp), settings))
                    : new AdminFleet(url, parse.GetValue(apiKey), parse.GetValue(adminKey), address, settings);
                if (fleet is AdminFleet admin && await admin.CountWorkersAsync(ct) is var count and > 0)
                    return await RefuseAsync($"The router has {count} workers already, and they would take our requests. Start it empty (baton router --workers-file with an empty list), or use --prefill-port and --decode-port.");
                return await RunAsync(fleet, checks, time, ct);
            }
            catch (Exception e) when (e is HttpRequestException or System.Text.Json.JsonException or KeyNotFoundException)
            {
                return await RefuseAsync($"{url} does not answer GET /workers as a router does: {e.Message} A router without it is checked with --prefill-port and --decode-port.");
            }
            catch (SocketException e)
            {
                await Console.Error.WriteLineAsync($"Cannot listen on a worker port: {e.Message}");
                return ExitCodes.PortTaken;
            }
        });
        return command;
    }

    private static FixedFleet Fixed(FixedFleet fleet)
    {
        Console.WriteLine("The router has to be started with: "
            + string.Join(' ', fleet.Prefill.Select(w => $"--prefill {w.Url} {w.Port}").Concat(fleet.Decode.Select(w => $"--decode {w.Url}"))));
        return fleet;
    }

    private static async Task<int> RunAsync(IConformanceFleet fleet, ConformanceCheck[] checks, TimeProvider time, CancellationToken ct)
    {
        List<ConformanceResult> results = [];
        foreach (ConformanceCheck check in checks)
        {
            ConformanceResult result = await ConformanceRun.RunAsync(fleet, check, time, ct);
            results.Add(result);
            Console.WriteLine($"{Word(result.Verdict),-4}  {check.Id,-6} {check.Title}");
            if (result.Verdict == Verdict.Fail) Console.WriteLine($"             expected: {check.Expected}");
            Console.WriteLine($"             {(result.Verdict == Verdict.NotApplicable ? "why" : "seen")}: {Shorten(result.Seen)}");
        }
        Console.WriteLine($"{Count(Verdict.Pass)} passed, {Count(Verdict.Fail)} failed, {Count(Verdict.NotApplicable)} not applicable");
        return Count(Verdict.Fail) == 0 ? 0 : 1;

        int Count(Verdict verdict) => results.Count(r => r.Verdict == verdict);
    }

    private static string Word(Verdict verdict) => verdict switch { Verdict.Pass => "pass", Verdict.Fail => "FAIL", _ => "n/a" };

    private static string Shorten(string text) => text.ReplaceLineEndings("\\n") is { Length: > 300 } line ? line[..300] + "..." : text.ReplaceLineEndings("\\n");

    private static async Task<int> RefuseAsync(string why)
    {
        await Console.Error.WriteLineAsync(why);
        return ExitCodes.BadArguments;
    }
}
