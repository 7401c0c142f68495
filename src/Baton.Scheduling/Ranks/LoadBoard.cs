using Baton.Core.Ids;
using Baton.Core.Ranks;

namespace Baton.Scheduling.Ranks;

/// <summary>What a scheduler counts for <see cref="RankLoad"/>, as plain numbers.</summary>
public record struct LoadNumbers
{
    public TimeSpan At { get; set; }
    public int RunningRequests { get; set; }
    public int WaitingRequests { get; set; }
    public int TotalTokens { get; set; }
    public int UsedCells { get; set; }
    public int BootstrapQueue { get; set; }
    public int InflightQueue { get; set; }
    public int PreallocQueue { get; set; }
    public int TransferQueue { get; set; }
    public int RetractedQueue { get; set; }
    public double GenThroughput { get; set; }
    public long StepCount { get; set; }
}

/// <summary>Carries <see cref="LoadNumbers"/> from the rank's thread to any other without a lock and without an allocation per step.</summary>
/// <remarks>A sequence lock: the writer makes the version odd while it writes, and a reader that saw two different versions reads again.</remarks>
internal sealed class LoadBoard
{
    private LoadNumbers _numbers;
    private int _version;

    public void Publish(in LoadNumbers numbers)
    {
        Volatile.Write(ref _version, _version + 1);
        Thread.MemoryBarrier();
        _numbers = numbers;
        Thread.MemoryBarrier();
        Volatile.Write(ref _version, _version + 1);
    }

    public LoadNumbers Read()
    {
        SpinWait spin = default;
        while (true)
        {
            int before = Volatile.Read(ref _version);
            Thread.MemoryBarrier();
            LoadNumbers numbers = _numbers;
            Thread.MemoryBarrier();
            if ((before & 1) == 0 && Volatile.Read(ref _version) == before) return numbers;
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    public RankLoad ToLoad(DpRank rank, RankInbox inbox, int cellCount, int maxRunningRequests)
    {
        LoadNumbers numbers = Read();
        return new RankLoad
        {
            DpRank = rank.Value,
            At = numbers.At,
            RunningRequests = numbers.RunningRequests,
            WaitingRequests = numbers.WaitingRequests,
            UncomputedPromptTokens = (int)inbox.UncomputedPromptTokens,
            TotalTokens = numbers.TotalTokens,
            UsedCells = numbers.UsedCells,
            CellCount = cellCount,
            MaxRunningRequests = maxRunningRequests,
            BootstrapQueue = numbers.BootstrapQueue,
            InflightQueue = numbers.InflightQueue,
            PreallocQueue = numbers.PreallocQueue,
            TransferQueue = numbers.TransferQueue,
            RetractedQueue = numbers.RetractedQueue,
            GenThroughput = numbers.GenThroughput,
            IsAvailable = inbox.IsAccepting,
            StepCount = numbers.StepCount,
        };
    }
}
