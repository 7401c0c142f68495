using Baton.Core.Engine;
using Baton.Core.Randomness;
using Baton.Scheduling.Dispatch;
using Baton.Scheduling.Ranks;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Disaggregation;

/// <summary>What every role is built from.</summary>
/// <param name="Engines">One a rank.</param>
/// <param name="Wakes">One a rank.</param>
internal sealed record RoleInputs(
    ServeOptions Options, WorkerParts Parts, IReadOnlyList<IEngine> Engines, IReadOnlyList<RankWake> Wakes, SeededRandom Random, TimeProvider Time, ILoggerFactory Loggers);

/// <param name="Rooms">On prefill workers.</param>
internal sealed record RoleRanks(IReadOnlyList<IRank> Ranks, PrefillRooms? Rooms);
