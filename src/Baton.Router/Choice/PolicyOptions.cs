namespace Baton.Router.Choice;

/// <summary>Parameters of the policies, under SGLang's names and with its command line's defaults.</summary>
public sealed record PolicyOptions
{
    /// <summary><c>cache_aware</c>: a prefix that covers more than this share of the prompt decides.</summary>
    public double CacheThreshold { get; init; } = 0.3;
    /// <summary><c>cache_aware</c>, <c>bucket</c>: imbalance needs a difference above this, and the ratio.</summary>
    public int BalanceAbsThreshold { get; init; } = 64;
    public double BalanceRelThreshold { get; init; } = 1.5;
    /// <summary><c>cache_aware</c>: hottest minus coldest KV usage above which balance comes first; 1 is off.</summary>
    public double BalanceTokenUsageThreshold { get; init; } = 1.0;
    /// <summary><c>cache_aware</c>: hottest KV usage above which balance comes first; 1 is off.</summary>
    public double OverloadTokenUsageThreshold { get; init; } = 1.0;
    /// <summary><c>cache_aware</c>: how often trees are cut back to their size.</summary>
    public TimeSpan EvictionInterval { get; init; } = TimeSpan.FromSeconds(120);
    /// <summary><c>cache_aware</c>: bytes of prompts remembered per candidate.</summary>
    public int MaxTreeSize { get; init; } = 67_108_864;
    /// <summary><c>cache_aware</c>: token ids that are compared together.</summary>
    public int BlockSize { get; init; } = 16;
    /// <summary><c>least_load</c>: seconds that a KV cache at half its size adds to a prefill candidate.</summary>
    public double KvPressureSeconds { get; init; } = 0.15;
    /// <summary><c>least_load</c>: sequences that a KV cache at half its size adds to a decode candidate.</summary>
    public double KvPressureSequences { get; init; } = 4;
    /// <summary><c>least_load</c>: prompt tokens per second.</summary>
    public double DefaultThroughput { get; init; } = 2000;
    /// <summary>Ring points of one candidate.</summary>
    public int VirtualNodes { get; init; } = 150;
    /// <summary><c>bounded_consistent_hashing</c>: a candidate above this multiple of the mean load is walked past.</summary>
    public double HashLoadFactor { get; init; } = 1.25;
    /// <summary><c>prefix_hash</c>: token ids at a prompt's beginning that count; of text four bytes for each.</summary>
    public int PrefixTokenCount { get; init; } = 256;
    /// <summary><c>prefix_hash</c>: a candidate above this multiple of the mean load is left alone.</summary>
    public double PrefixHashLoadFactor { get; init; } = 1.25;
    /// <summary><c>manual</c>: a key that was not used for longer is forgotten.</summary>
    public TimeSpan ManualIdle { get; init; } = TimeSpan.FromSeconds(14_400);
    /// <summary><c>manual</c>: whom a new key is given to.</summary>
    public AssignmentMode AssignmentMode { get; init; } = AssignmentMode.Random;
    /// <summary><c>bucket</c>: window and adjustment interval.</summary>
    public TimeSpan BucketInterval { get; init; } = TimeSpan.FromSeconds(5);
}
