namespace Baton.Core.Ranks;

/// <summary>How a DP controller picks the rank of a request that does not pin one. SGLang's <c>--load-balance-method</c>.</summary>
public enum LoadBalanceMethod
{
    RoundRobin,
    /// <summary>room mod dp size; only on prefill, where decode can infer the rank without asking.</summary>
    FollowBootstrapRoom,
    TotalRequests,
    TotalTokens,
    /// <summary>Baton's own: least true remaining work (prompt tokens still to compute), without stale snapshots.</summary>
    LeastWork,
}

/// <summary>Names on the command line and in /server_info.</summary>
public static class LoadBalanceMethods
{
    /// <summary><c>auto</c> is not a method: the worker's role decides what it means.</summary>
    public const string Auto = "auto";

    public static bool TryParse(string text, out LoadBalanceMethod method)
    {
        (bool known, method) = text switch
        {
            "round_robin" => (true, LoadBalanceMethod.RoundRobin),
            "follow_bootstrap_room" => (true, LoadBalanceMethod.FollowBootstrapRoom),
            "total_requests" => (true, LoadBalanceMethod.TotalRequests),
            "total_tokens" => (true, LoadBalanceMethod.TotalTokens),
            "least_work" => (true, LoadBalanceMethod.LeastWork),
            _ => (false, LoadBalanceMethod.RoundRobin),
        };
        return known;
    }

    extension(LoadBalanceMethod method)
    {
        public string WireName => method switch
        {
            LoadBalanceMethod.FollowBootstrapRoom => "follow_bootstrap_room",
            LoadBalanceMethod.TotalRequests => "total_requests",
            LoadBalanceMethod.TotalTokens => "total_tokens",
            LoadBalanceMethod.LeastWork => "least_work",
            _ => "round_robin",
        };
    }
}
