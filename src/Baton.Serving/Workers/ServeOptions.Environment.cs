using System.Globalization;
using Baton.Bootstrap.Decode;
using Baton.Bootstrap.Server;

namespace Baton.Serving.Workers;

public sealed partial record ServeOptions
{
    public const string ClusterSecretVariable = "BATON_CLUSTER_SECRET";
    public const string RouterKeyVariable = "BATON_ROUTER_KEY";
    private const string Prefix = "SGLANG_DISAGGREGATION_";

    private static readonly HashSet<string> Understood = new(StringComparer.Ordinal)
    {
        BootstrapServerOptions.BootstrapTimeoutVariable,
        BootstrapServerOptions.WaitingTimeoutVariable,
        BootstrapServerOptions.CleanupIntervalVariable,
        BootstrapServerOptions.WriteTokenVariable,
        RankResolverOptions.HeartbeatIntervalVariable,
        RankResolverOptions.HeartbeatMaxFailureVariable,
        RankResolverOptions.ForceQueryVariable,
    };

    /// <summary>Takes over SGLang's variables and the cluster secret. What a flag says comes later and wins.</summary>
    /// <exception cref="FormatException">A variable is set to something that cannot be meant.</exception>
    public ServeOptions FromEnvironment(Func<string, string?> variable)
    {
        BootstrapServerOptions server = new BootstrapServerOptions
        {
            Seed = 0,
            BootstrapTimeout = BootstrapTimeout,
            WaitingTimeout = WaitingTimeout,
            CleanupInterval = BootstrapCleanupInterval,
            WriteToken = BootstrapToken,
        }.FromEnvironment(variable);
        RankResolverOptions resolver = ToResolver().FromEnvironment(variable);
        return this with
        {
            BootstrapTimeout = server.BootstrapTimeout,
            WaitingTimeout = server.WaitingTimeout,
            BootstrapCleanupInterval = server.CleanupInterval,
            BootstrapToken = server.WriteToken,
            HeartbeatInterval = resolver.HeartbeatInterval,
            HeartbeatMaxFailure = resolver.HeartbeatMaxFailure,
            ForceQueryPrefillDpRank = resolver.ForceQuery,
            ClusterSecret = variable(ClusterSecretVariable) is { Length: > 0 } secret ? secret : ClusterSecret,
            RouterKey = variable(RouterKeyVariable) is { Length: > 0 } key ? key : RouterKey,
        };
    }

    /// <summary>SGLang's variables that are set and have no meaning here: worth a warning each.</summary>
    public static IEnumerable<string> FindVariablesWithoutMeaning(IEnumerable<string> names) =>
        names.Where(name => name.StartsWith(Prefix, StringComparison.Ordinal) && !Understood.Contains(name)).Order(StringComparer.Ordinal);

    /// <summary>Reads <c>http://host:port</c>.</summary>
    /// <exception cref="FormatException">Not a base URL; the text names the flag.</exception>
    public static Uri ParseBaseUrl(string flag, string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https" && url is { UserInfo: "", Query: "", AbsolutePath: "/" }
            ? url : throw new FormatException($"{flag} {text} is not a base URL: write http://host:port.");

    /// <summary>Reads HOST:PORT, with brackets around an IPv6 address.</summary>
    /// <exception cref="FormatException">No port, or none in [1, 65535].</exception>
    public static Core.Ids.BootstrapAddress ParseBootstrapServer(string text)
    {
        int colon = text.LastIndexOf(':');
        return colon > 0 && int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is >= 1 and <= 65535
            ? Core.Ids.BootstrapAddress.From(text[..colon], port)
            : throw new FormatException($"--bootstrap-server {text} is not HOST:PORT.");
    }
}
