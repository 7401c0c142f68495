using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Baton.Core.Ids;
using Baton.Router.Workers;

namespace Baton.Router.Discovery;

/// <summary>Which workers a pod holds, by its labels and annotations.</summary>
internal static class PodWorkers
{
    public const string PortsNote = "smg.ai/worker-ports", BootstrapNote = "sglang.ai/bootstrap-port";

    /// <returns>None for a pod that is not ready or that no selector is for.</returns>
    /// <exception cref="FormatException">An annotation makes no sense; the text names pod and annotation.</exception>
    public static IReadOnlyList<WorkerSpec> Of(Pod pod, DiscoveryOptions options)
    {
        if (!pod.IsReady || !IPAddress.TryParse(pod.Address, out IPAddress? address) || RoleOf(pod, options) is not { } role) return [];
        string host = address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString();
        int[] ports = Ports(pod, PortsNote) is { Length: > 0 } named ? named : [options.Port];
        int[] bootstrap = role == WorkerRole.Prefill ? Ports(pod, BootstrapNote) : [];
        if (bootstrap.Length > 1 && bootstrap.Length != ports.Length)
            throw new FormatException($"pod {pod.Name}: {BootstrapNote} has {bootstrap.Length} ports for {ports.Length} workers: give one, or one for each.");
        return [.. ports.Select((port, i) => new WorkerSpec
        {
            Url = WorkerSpec.ParseUrl($"http://{host}:{port}"),
            Role = role,
            BootstrapPort = bootstrap.Length == 0 ? null : bootstrap[bootstrap.Length == 1 ? 0 : i],
            Labels = new Dictionary<string, string> { ["pod"] = pod.Name },
        })];
    }

    /// <summary>The labels that all selectors have in common: what the API server can filter by.</summary>
    public static string CommonSelector(DiscoveryOptions options)
    {
        IReadOnlyDictionary<string, string>[] given = [.. new[] { options.Selector, options.PrefillSelector, options.DecodeSelector }.Where(s => s.Count > 0)];
        return string.Join(',', given[0].Where(label => given.All(s => s.TryGetValue(label.Key, out string? value) && value == label.Value)).Select(label => $"{label.Key}={label.Value}").Order(StringComparer.Ordinal));
    }

    private static WorkerRole? RoleOf(Pod pod, DiscoveryOptions options) =>
        pod.Matches(options.PrefillSelector) ? WorkerRole.Prefill : pod.Matches(options.DecodeSelector) ? WorkerRole.Decode : pod.Matches(options.Selector) ? WorkerRole.Unified : null;

    // A label's value has no commas: dots, dashes and underscores stand between ports as well.
    private static int[] Ports(Pod pod, string name) => pod.Note(name) is not { } text ? []
        : [.. text.Split([',', ' ', '.', '-', '_'], StringSplitOptions.RemoveEmptyEntries).Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is >= 1 and <= 65535
            ? port : throw new FormatException($"pod {pod.Name}: {name} is '{text}': {part} is no port."))];
}
