using System.Globalization;

namespace Baton.Cli.Supervision;

/// <summary>The child processes of one <c>baton up</c>, with every address decided.</summary>
/// <param name="Children">In the order in which they are started.</param>
/// <param name="Entry">Where a client sends its requests.</param>
internal sealed record ClusterPlan(IReadOnlyList<ChildSpec> Children, Uri Entry)
{
    private const string Loopback = "127.0.0.1";

    /// <param name="ports"><see cref="ClusterOptions.InternalPortCount"/> free loopback ports.</param>
    public static ClusterPlan Create(ClusterOptions options, IReadOnlyList<int> ports)
    {
        if (ports.Count != options.InternalPortCount)
            throw new ArgumentException($"This cluster needs {options.InternalPortCount} ports and got {ports.Count}.", nameof(ports));

        Uri entry = HttpUrl(IsAnyAddress(options.Host) ? Loopback : options.Host, options.Port);
        return options.IsUnified ? Unified(options, entry) : Disaggregated(options, entry, new Queue<int>(ports));
    }

    internal static bool IsAnyAddress(string host) => host is "0.0.0.0" or "::" or "*" or "+";

    private static ClusterPlan Unified(ClusterOptions options, Uri entry)
    {
        string[] arguments = ["serve", "--host", options.Host, "--port", Text(options.Port), .. ForWorker(options, options.PrefillDpSize)];
        return new([new("unified", arguments, entry)], entry);
    }

    private static ClusterPlan Disaggregated(ClusterOptions options, Uri entry, Queue<int> ports)
    {
        List<ChildSpec> children = [];
        string[] keys = options.ApiKey is { } key ? ["--api-key", key, "--worker-api-key", key] : [];
        List<string> router = ["router", "--host", options.Host, "--port", Text(options.Port), .. keys];
        for (int i = 0; i < options.PrefillWorkers; i++)
        {
            int bootstrapPort = ports.Dequeue();
            ChildSpec worker = Worker(options, $"prefill-{i}", "prefill", ports.Dequeue(), options.PrefillDpSize,
                ["--disaggregation-bootstrap-port", Text(bootstrapPort)]);
            children.Add(worker);
            router.AddRange(["--prefill", Origin(worker.Url), Text(bootstrapPort)]);
        }

        for (int i = 0; i < options.DecodeWorkers; i++)
        {
            ChildSpec worker = Worker(options, $"decode-{i}", "decode", ports.Dequeue(), options.DecodeDpSize, []);
            children.Add(worker);
            router.AddRange(["--decode", Origin(worker.Url)]);
        }

        children.Add(new("router", router, entry));
        return new(children, entry);
    }

    private static ChildSpec Worker(ClusterOptions options, string name, string mode, int port, int dpSize, string[] more)
    {
        string[] arguments =
        [
            "serve", "--disaggregation-mode", mode, "--host", Loopback, "--port", Text(port), .. more, .. ForWorker(options, dpSize),
        ];
        return new(name, arguments, HttpUrl(Loopback, port));
    }

    private static IEnumerable<string> ForWorker(ClusterOptions options, int dpSize)
    {
        string[] model = options.ModelPath is { } path ? ["--model-path", path] : [];
        string[] key = options.ApiKey is { } given ? ["--api-key", given] : [];
        return ["--dp-size", Text(dpSize), .. model, .. key, .. options.WorkerArguments];
    }

    private static Uri HttpUrl(string host, int port) => new UriBuilder(Uri.UriSchemeHttp, host, port).Uri;

    private static string Origin(Uri url) => url.GetLeftPart(UriPartial.Authority);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
