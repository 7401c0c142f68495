namespace Baton.Bootstrap.Registry;

/// <summary>What one prefill rank process tells the bootstrap server at its start: the body of <c>PUT /route</c>.</summary>
/// <remarks>
/// Names are SGLang's. A Baton rank has no tensor, context or pipeline parallelism (1/0) and is "plain" data parallel: it puts its
/// dp size and rank into <see cref="SystemDpSize"/> and <see cref="SystemDpRank"/>, so <see cref="DpGroup"/> is its rank.
/// </remarks>
public sealed record RankRegistration
{
    public int AttnTpSize { get; init; } = 1;
    public int AttnTpRank { get; init; }
    public int AttnCpSize { get; init; } = 1;
    public int AttnCpRank { get; init; }
    public int AttnDpSize { get; init; } = 1;
    public int AttnDpRank { get; init; }
    public int PpSize { get; init; } = 1;
    public int PpRank { get; init; }
    public int SystemDpSize { get; init; } = 1;
    public int SystemDpRank { get; init; }
    /// <summary>Where decode reaches this rank. At most 255 characters.</summary>
    public required string RankIp { get; init; }
    public required int RankPort { get; init; }
    /// <summary>KV page size in tokens.</summary>
    public int PageSize { get; init; } = 1;
    public string? KvCacheDtype { get; init; }
    public string LoadBalanceMethod { get; init; } = FollowBootstrapRoomMethod;
    public bool EnableDsaCacheLayerSplit { get; init; }
    public int? PrefillHttpPort { get; init; }

    /// <summary>The one method under which decode may infer the rank. SGLang's default when the key is missing.</summary>
    public const string FollowBootstrapRoomMethod = "follow_bootstrap_room";

    public int DpSize => SystemDpSize == 1 ? AttnDpSize : SystemDpSize;
    public int DpGroup => SystemDpSize == 1 ? AttnDpRank : SystemDpRank;
    public RankKey Key => new(DpGroup, AttnCpRank, AttnTpRank, PpRank);
    public RankEndpoint Endpoint => new(RankIp, RankPort);

    public GroupTopology Topology => new()
    {
        AttnTpSize = AttnTpSize,
        AttnCpSize = AttnCpSize,
        DpSize = DpSize,
        PpSize = PpSize,
        PageSize = PageSize,
        KvCacheDtype = KvCacheDtype,
        FollowsBootstrapRoom = LoadBalanceMethod == FollowBootstrapRoomMethod,
        EnableDsaCacheLayerSplit = EnableDsaCacheLayerSplit,
        PrefillHttpPort = PrefillHttpPort,
    };
}

/// <summary>Which rank process of a prefill group: data, context, tensor and pipeline parallel rank.</summary>
public readonly record struct RankKey(int Dp, int Cp, int Tp, int Pp)
{
    public override string ToString() => $"dp_rank={Dp} cp_rank={Cp} tp_rank={Tp} pp_rank={Pp}";
}

/// <summary>Where a prefill rank listens for decode.</summary>
public readonly record struct RankEndpoint(string Ip, int Port)
{
    public override string ToString() => Ip.Contains(':', StringComparison.Ordinal) ? $"[{Ip}]:{Port}" : $"{Ip}:{Port}";
}

/// <summary>The scalars that all ranks of one prefill group must agree on; what <c>GET /route</c> answers for -1,-1,-1,-1.</summary>
public sealed record GroupTopology
{
    public required int AttnTpSize { get; init; }
    public required int AttnCpSize { get; init; }
    public required int DpSize { get; init; }
    public required int PpSize { get; init; }
    public required int PageSize { get; init; }
    public string? KvCacheDtype { get; init; }
    public required bool FollowsBootstrapRoom { get; init; }
    public bool EnableDsaCacheLayerSplit { get; init; }
    /// <summary>Informational: ranks of several workers may differ here, the first that is not null is kept (as in SGLang).</summary>
    public int? PrefillHttpPort { get; init; }

    public long RankCount => (long)AttnTpSize * AttnCpSize * DpSize * PpSize;

    /// <summary>Names the first scalar on which the two disagree, with both values; null when one group can hold both.</summary>
    public string? ConflictWith(GroupTopology other)
    {
        if (AttnTpSize != other.AttnTpSize) return $"attn_tp_size is {AttnTpSize} and not {other.AttnTpSize}";
        if (AttnCpSize != other.AttnCpSize) return $"attn_cp_size is {AttnCpSize} and not {other.AttnCpSize}";
        if (DpSize != other.DpSize) return $"the dp size is {DpSize} and not {other.DpSize}";
        if (PpSize != other.PpSize) return $"pp_size is {PpSize} and not {other.PpSize}";
        if (PageSize != other.PageSize) return $"page_size is {PageSize} and not {other.PageSize}";
        if (KvCacheDtype is { } mine && other.KvCacheDtype is { } theirs && mine != theirs) return $"kv_cache_dtype is '{mine}' and not '{theirs}'";
        if (FollowsBootstrapRoom != other.FollowsBootstrapRoom) return "load_balance_method: one says follow_bootstrap_room, the other does not";
        if (EnableDsaCacheLayerSplit != other.EnableDsaCacheLayerSplit) return "enable_dsa_cache_layer_split differs";
        return null;
    }

    /// <summary>Fills what is still null from a later registration.</summary>
    public GroupTopology Merge(GroupTopology later) => this with
    {
        KvCacheDtype = KvCacheDtype ?? later.KvCacheDtype,
        PrefillHttpPort = PrefillHttpPort ?? later.PrefillHttpPort,
    };
}
