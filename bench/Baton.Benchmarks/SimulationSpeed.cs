using System.Diagnostics;
using Baton.Core.Engine.Simulated;
using Baton.Simulation.Capacity;
using Baton.Simulation.Cluster;
using Baton.Simulation.Workloads;

namespace Baton.Benchmarks;

/// <summary>
/// How fast the simulator runs: 500 prefill and 500 decode ranks at 10,000 requests a second, on one core. Everything that decides is the
/// product's: router, dispatcher, schedulers, KV sender and receiver, resolver.
/// </summary>
public static class SimulationSpeed
{
    private const double RequestsPerSecond = 10_000;
    private const double VirtualSeconds = 10;
    private static readonly (int Prompt, int Output)[] Lengths = [(128, 8), (256, 16), (512, 16), (512, 64)];

    public static Task<int> RunAsync(string[] args)
    {
        // One core for everything in this process, the just-in-time compiler and the garbage collector with it.
        if (OperatingSystem.IsLinux() || OperatingSystem.IsWindows()) Process.GetCurrentProcess().ProcessorAffinity = 1 << (args.Length > 0 ? int.Parse(args[0]) : 0);
        Console.WriteLine("prompt  output  requests  events      virtual s  wall s  cpu s   virtual s / wall s  virtual s / cpu s  trace hash");
        Measure(256, 16, VirtualSeconds / 2);
        Console.WriteLine("(the first row warms up)");
        object[] rows = [.. Lengths.Select(length => Measure(length.Prompt, length.Output, VirtualSeconds))];
        ResultFile.Write("simulation-speed", string.Join(' ', ["dotnet run -c Release --project bench/Baton.Benchmarks -- simulate-speed", .. args]), new
        {
            load_average = BatonStack.LoadAverage(),
            prefill = "50 workers of 10 ranks",
            decode = "50 workers of 10 ranks",
            requests_per_second = RequestsPerSecond,
            cores_used = 1,
            rows,
        });
        return Task.FromResult(0);
    }

    private static object Measure(int prompt, int output, double virtualSeconds)
    {
        Workload workload = Workload.Draw(
            (int)(RequestsPerSecond * virtualSeconds), new ArrivalProcess.Poisson(RequestsPerSecond), new LengthDistribution.Fixed(prompt), new LengthDistribution.Fixed(output), seed: 1);
        // Decode steps of 20 ms and prefill ranks two fifths busy at 512 tokens.
        Deployment deployment = new() { Cost = CostModel.Parse("fixed=5,prompt=0.02"), DecodeCost = CostModel.Parse("fixed=20,row=0.2") };
        GC.Collect();
        TimeSpan cpuBefore = Process.GetCurrentProcess().TotalProcessorTime;
        long start = Stopwatch.GetTimestamp();
        SimulatedCluster cluster = deployment.Run(new Split(50, 10, 50, 10), workload, TimeSpan.FromDays(1), seed: 1);
        TimeSpan wall = Stopwatch.GetElapsedTime(start), cpu = Process.GetCurrentProcess().TotalProcessorTime - cpuBefore, simulated = cluster.Loop.Now;
        if (cluster.Records.Exists(record => record.Failure is not null || record.OutputTokens != output)) throw new InvalidOperationException("A request did not get its answer.");
        Console.WriteLine($"{prompt,6}  {output,6}  {workload.Requests.Count,8}  {cluster.Loop.EventCount,10}  {simulated.TotalSeconds,9:F2}  {wall.TotalSeconds,6:F2}  {cpu.TotalSeconds,6:F2}  {simulated / wall,17:F2}  {simulated / cpu,17:F2}   {cluster.Trace}");
        return new
        {
            prompt_tokens = prompt,
            output_tokens = output,
            requests = workload.Requests.Count,
            events = cluster.Loop.EventCount,
            virtual_seconds = Math.Round(simulated.TotalSeconds, 3),
            wall_seconds = Math.Round(wall.TotalSeconds, 3),
            cpu_seconds = Math.Round(cpu.TotalSeconds, 3),
            virtual_seconds_per_wall_second = Math.Round(simulated / wall, 3),
            virtual_seconds_per_cpu_second = Math.Round(simulated / cpu, 3),
            trace_hash = cluster.Trace.ToString(),
        };
    }
}
