using System.CommandLine;

namespace Baton.Cli.Commands;

/// <summary>Every command of <c>baton</c>, in the order of its help.</summary>
internal static class BatonCommands
{
    public static IEnumerable<Command> All()
    {
        yield return UpCommand.Create(ServeCommand.Create(ProductionClock.Time), ProductionClock.Time);
        yield return ServeCommand.Create(ProductionClock.Time);
        yield return RouterCommand.Create(ProductionClock.Time);
        yield return BootstrapCommand.Create(ProductionClock.Time);
        yield return BenchCommand.Create(ProductionClock.Time);
        yield return SimulateCommand.Create(ProductionClock.Time);
        yield return ConformanceCommand.Create(ProductionClock.Time);
        yield return DoctorCommand.Create(ProductionClock.Time);
    }
}
