namespace Baton.Simulation.Swarm;

/// <summary>Bugs that can be planted at the seams of a cluster, to see that the swarm finds them. For tests of the checker only.</summary>
public enum Plant
{
    None,
    /// <summary>The engine keeps the cells of every third sequence that is closed.</summary>
    ForgetCells,
    /// <summary>Rooms are told to the bootstrap server when every timeout is over.</summary>
    RegisterLate,
    /// <summary>One bit of a chunk changes after every check.</summary>
    CorruptChunk,
    /// <summary>The last frame carries another first token.</summary>
    WrongFirstToken,
    /// <summary>Decode never says that it has everything.</summary>
    SwallowAck,
    /// <summary>Nobody wakes a decode rank when its links have something.</summary>
    LostWake,
    /// <summary>No rank is called at its deadline, and clients never hang up.</summary>
    NoDeadlines,
    /// <summary>Prefill sends without asking whether the window has room.</summary>
    IgnoreWindow,
    /// <summary>Two chunks of a prompt change places.</summary>
    SwapChunks,
    /// <summary>Every tenth token of an answer is delivered twice.</summary>
    DoubleToken,
}

/// <summary>Names on the command line.</summary>
public static class Plants
{
    public static IReadOnlyList<Plant> All { get; } = [.. Enum.GetValues<Plant>().Where(plant => plant != Plant.None)];

    extension(Plant plant)
    {
        public string Name => string.Concat(plant.ToString().Select((letter, i) => i > 0 && char.IsUpper(letter) ? $"-{char.ToLowerInvariant(letter)}" : $"{char.ToLowerInvariant(letter)}"));
    }

    public static Plant? Find(string name) => All.Cast<Plant?>().FirstOrDefault(plant => plant!.Value.Name == name);
}
