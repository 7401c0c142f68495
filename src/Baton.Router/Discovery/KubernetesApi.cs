using System.Net;
using System.Net.Security;
using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Baton.Router.Discovery;

/// <summary>The two requests of the Kubernetes API that discovery needs: the list of pods, and what changes from there on.</summary>
internal sealed class KubernetesApi(DiscoveryOptions options, TimeProvider time) : IDisposable
{
    /// <summary>How long one watch lasts; a full list comes after each.</summary>
    public static readonly TimeSpan WatchTime = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ListLimit = TimeSpan.FromSeconds(30), WatchMargin = TimeSpan.FromSeconds(15);
    private readonly HttpMessageInvoker _http = new(CreateHandler(options));
    private readonly string _path = options.Namespace is { } name ? $"/api/v1/namespaces/{Uri.EscapeDataString(name)}/pods" : "/api/v1/pods";
    private readonly string _selector = PodWorkers.CommonSelector(options) is { Length: > 0 } common ? $"&labelSelector={Uri.EscapeDataString(common)}" : "";

    /// <summary>Every pod, and the version from which to watch.</summary>
    /// <exception cref="DiscoveryException">The server did not answer with a list.</exception>
    public async Task<(List<Pod> Pods, string Version)> ListAsync(CancellationToken ct)
    {
        List<Pod> pods = [];
        string page = "";
        while (true)
        {
            using CancellationTokenSource limit = new(ListLimit, time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
            using HttpResponseMessage answer = await SendAsync($"{_path}?limit=500{_selector}{page}", ct, either.Token);
            using JsonDocument document = await ReadAsync(answer, ct, either.Token);
            JsonElement metadata = Pod.Member(document.RootElement, "metadata");
            if (Pod.Member(document.RootElement, "items") is not { ValueKind: JsonValueKind.Array } items || Pod.Text(metadata, "resourceVersion") is not { } version)
                throw new DiscoveryException($"GET {_path}: the answer is no list of pods.");
            pods.AddRange(items.EnumerateArray().Select(Pod.Read).OfType<Pod>());
            if (Pod.Text(metadata, "continue") is not { Length: > 0 } next) return (pods, version);
            page = "&continue=" + Uri.EscapeDataString(next);
        }
    }

    /// <summary>What happens to pods from a version on, until the server ends the watch.</summary>
    /// <returns>The kind of event, as the server writes it, and the pod. An <c>ERROR</c> (the version is too old) ends the watch.</returns>
    /// <exception cref="DiscoveryException">The connection broke.</exception>
    public async IAsyncEnumerable<(string Kind, Pod Pod)> WatchAsync(string version, [EnumeratorCancellation] CancellationToken ct)
    {
        using CancellationTokenSource limit = new(WatchTime + WatchMargin, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, limit.Token);
        using HttpResponseMessage answer = await SendAsync(
            $"{_path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={WatchTime.TotalSeconds}&resourceVersion={Uri.EscapeDataString(version)}{_selector}", ct, either.Token);
        using StreamReader lines = new(await answer.Content.ReadAsStreamAsync(either.Token));
        while (await NextAsync(lines, ct, either.Token) is { } line)
        {
            if (line.Length == 0) continue;
            using JsonDocument document = Parse(line);
            string kind = Pod.Text(document.RootElement, "type") ?? "";
            if (kind == "ERROR") yield break;
            if (Pod.Read(Pod.Member(document.RootElement, "object")) is { } pod) yield return (kind, pod);
        }
    }

    public void Dispose() => _http.Dispose();

    private static SocketsHttpHandler CreateHandler(DiscoveryOptions options)
    {
        SocketsHttpHandler handler = new() { UseProxy = false, AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(10) };
        if (options.CaFile is not { } file) return handler;
        if (!File.Exists(file)) throw new FormatException($"--service-discovery: the service account's {file} is not there. Mount the account's token into this pod.");
        X509ChainPolicy policy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPemFile(file);
        handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        return handler;
    }

    private async Task<HttpResponseMessage> SendAsync(string pathAndQuery, CancellationToken ct, CancellationToken limited)
    {
        using HttpRequestMessage message = new(HttpMethod.Get, new Uri(options.ApiServer, pathAndQuery));
        message.Headers.TryAddWithoutValidation("Accept", "application/json");
        try
        {
            // The account's token is renewed in place: an old one is refused after an hour.
            if (options.TokenFile is { } file) message.Headers.TryAddWithoutValidation("Authorization", "Bearer " + (await File.ReadAllTextAsync(file, limited)).Trim());
            HttpResponseMessage answer = await _http.SendAsync(message, limited);
            if (answer.StatusCode == HttpStatusCode.OK) return answer;
            using (answer)
            {
                string hint = answer.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden ? " The service account needs the verbs list and watch on pods." : "";
                throw new DiscoveryException($"GET {_path} answered {(int)answer.StatusCode}.{hint}");
            }
        }
        catch (Exception e) when (IsTrouble(e, ct))
        {
            throw Broken(e);
        }
    }

    private async Task<JsonDocument> ReadAsync(HttpResponseMessage answer, CancellationToken ct, CancellationToken limited)
    {
        try
        {
            return await JsonDocument.ParseAsync(await answer.Content.ReadAsStreamAsync(limited), default, limited);
        }
        catch (Exception e) when (IsTrouble(e, ct) || e is JsonException)
        {
            throw Broken(e);
        }
    }

    private async Task<string?> NextAsync(StreamReader lines, CancellationToken ct, CancellationToken limited)
    {
        try
        {
            return await lines.ReadLineAsync(limited);
        }
        catch (Exception e) when (IsTrouble(e, ct))
        {
            throw Broken(e);
        }
    }

    private JsonDocument Parse(string line)
    {
        try
        {
            return JsonDocument.Parse(line);
        }
        catch (JsonException e)
        {
            throw Broken(e);
        }
    }

    private static bool IsTrouble(Exception e, CancellationToken ct) =>
        e is HttpRequestException or IOException or UnauthorizedAccessException || (e is OperationCanceledException && !ct.IsCancellationRequested);

    private DiscoveryException Broken(Exception e) => new($"GET {options.ApiServer.GetLeftPart(UriPartial.Authority)}{_path}: {(e is OperationCanceledException ? "no answer in time" : e.Message)}", e);
}

/// <summary>The cluster could not be asked; the workers that are known stay.</summary>
internal sealed class DiscoveryException(string message, Exception? inner = null) : Exception(message, inner);
