namespace Baton.Simulation.Swarm;

/// <summary>Bugs that can be planted in a cluster, to see that the swarm finds them. For tests of the checker only.</summary>
/// <remarks><see cref="Plants"/> says what each does.</remarks>
public enum Plant
{
    None,
    ForgetCells,
    KeepCells,
    RegisterAfterDispatch,
    SkipCoverage,
    ReviveRoom,
    UnboundedPending,
    UnboundedQueue,
    CorruptChunk,
    WrongFirstToken,
    SwallowAck,
    LostWake,
    NoDeadlines,
    IgnoreWindow,
    SwapChunks,
    DoubleToken,
    SwallowEnd,
    EndTwice,
    NoReason,
    ReportWrongRank,
}

/// <summary>Names on the command line.</summary>
public static class Plants
{
    public static IReadOnlyList<Plant> All { get; } = [.. Enum.GetValues<Plant>().Where(plant => plant != Plant.None)];

    extension(Plant plant)
    {
        public string Name => string.Concat(plant.ToString().Select((letter, i) => i > 0 && char.IsUpper(letter) ? $"-{char.ToLowerInvariant(letter)}" : $"{char.ToLowerInvariant(letter)}"));

        /// <summary>What it does, for <c>--plant list</c>.</summary>
        public string Description => plant switch
        {
            Plant.ForgetCells => "the decode scheduler does not give the cells of every third sequence back",
            Plant.KeepCells => "the engine keeps the cells of every third sequence that is closed",
            Plant.RegisterAfterDispatch => "a room is registered a moment after its rank got the request",
            Plant.SkipCoverage => "decode starts with the last frame, whether all chunks are imported or not",
            Plant.ReviveRoom => "the KV sender takes a late claim of an ended room for an early one",
            Plant.UnboundedPending => "the rank resolver takes any number of rooms",
            Plant.UnboundedQueue => "a decode rank takes any number of requests",
            Plant.CorruptChunk => "one bit of a chunk changes after every check",
            Plant.WrongFirstToken => "the last frame carries another first token",
            Plant.SwallowAck => "decode never says that it has everything",
            Plant.LostWake => "nobody wakes a decode rank when its links have something",
            Plant.NoDeadlines => "no rank is called at its deadline",
            Plant.IgnoreWindow => "prefill sends without asking whether the window has room",
            Plant.SwapChunks => "two chunks of a prompt change places",
            Plant.DoubleToken => "every tenth token of an answer is delivered twice",
            Plant.SwallowEnd => "every twentieth end of a request is not told",
            Plant.EndTwice => "every twentieth end of a request is told twice",
            Plant.NoReason => "failures have no reason and no text",
            Plant.ReportWrongRank => "decode names another prefill rank than it took the KV from",
            _ => "nothing",
        };
    }

    public static Plant? Find(string name) => All.Cast<Plant?>().FirstOrDefault(plant => plant!.Value.Name == name);
}
