namespace Baton.Router.Discovery;

/// <summary>Which pods are workers, and where the cluster is asked: <c>--service-discovery</c>.</summary>
public sealed record DiscoveryOptions
{
    private const string Account = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>The API server.</summary>
    public required Uri ApiServer { get; init; }
    /// <summary>Sent as a bearer token; read for every request, because it is renewed. Null sends none.</summary>
    public string? TokenFile { get; init; }
    /// <summary>PEM of the authority that the API server is believed by; null is the system's.</summary>
    public string? CaFile { get; init; }
    /// <summary>Labels of pods that do both phases.</summary>
    public IReadOnlyDictionary<string, string> Selector { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> PrefillSelector { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> DecodeSelector { get; init; } = new Dictionary<string, string>();
    /// <summary>Of a pod that names none itself.</summary>
    public int Port { get; init; } = 80;
    /// <summary>Null is every one.</summary>
    public string? Namespace { get; init; }

    /// <summary>What a pod finds about its cluster.</summary>
    /// <exception cref="FormatException">This is no pod.</exception>
    public static DiscoveryOptions InCluster(Func<string, string?> variable)
    {
        if (variable("KUBERNETES_SERVICE_HOST") is not { Length: > 0 } host || variable("KUBERNETES_SERVICE_PORT") is not { Length: > 0 } port)
            throw new FormatException("--service-discovery works inside a Kubernetes cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set.");
        string bracketed = host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host;
        if (!Uri.TryCreate($"https://{bracketed}:{port}", UriKind.Absolute, out Uri? api)) throw new FormatException($"--service-discovery: https://{bracketed}:{port} from KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT is no address.");
        return new DiscoveryOptions { ApiServer = api, TokenFile = Account + "/token", CaFile = Account + "/ca.crt" };
    }
}
