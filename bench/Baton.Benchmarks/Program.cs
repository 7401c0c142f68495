using Baton.Benchmarks;
using Baton.Benchmarks.Router;
using Baton.Benchmarks.Ttft;

// One measurement a name: dotnet run -c Release --project bench/Baton.Benchmarks -- NAME [arguments]
// Each compares with its baseline in the same run and prints the ratio; results/ keeps what it wrote.
SortedDictionary<string, Func<string[], Task<int>>> measurements = new()
{
    ["bootstrap"] = BootstrapBenchmark.RunAsync,
    ["compare"] = CompareBenchmark.RunAsync,
    [RouterMeasurement.Name] = RouterMeasurement.RunAsync,
    [RouterChaos.Name] = RouterChaos.RunAsync,
    ["decode-throughput"] = DecodeThroughput.Run,
    ["engine-handover"] = EngineHandover.Run,
    ["handover-share"] = HandoverShare.RunAsync,
    ["transfer"] = TransferBenchmark.RunAsync,
    ["isolation"] = IsolationBenchmark.RunAsync,
    ["loadgen"] = LoadGenBenchmark.RunAsync,
    ["simulate-speed"] = SimulationSpeed.RunAsync,
    ["ttft"] = TtftTableBenchmark.RunAsync,
};

// What a measurement starts of itself, as a process of its own.
if (args is [AwakeCores.Name]) return await AwakeCores.RunAsync();
if (args.Length > 0 && measurements.TryGetValue(args[0], out Func<string[], Task<int>>? run)) return await run(args[1..]);
Console.Error.WriteLine($"Which measurement? {string.Join(", ", measurements.Keys)}");
return 2;
