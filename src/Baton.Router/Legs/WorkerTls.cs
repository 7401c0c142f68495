using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Baton.Router.Legs;

/// <summary>How the router speaks TLS to workers: whose certificates it believes, and which one it shows.</summary>
internal static class WorkerTls
{
    /// <returns>Null when no file is given: the system's authorities, and no client certificate.</returns>
    /// <exception cref="FormatException">A file cannot be used; the text names its flag.</exception>
    public static SslClientAuthenticationOptions? Load(RouterOptions options)
    {
        if (options.CaCertPaths.Count == 0 && options.ClientCertPath is null) return null;
        SslClientAuthenticationOptions tls = new();
        if (options.CaCertPaths.Count > 0)
        {
            tls.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            foreach (string file in options.CaCertPaths) tls.CertificateChainPolicy.CustomTrustStore.AddRange(Authorities(file));
        }
        if (options.ClientCertPath is { } certificate) tls.ClientCertificateContext = Client(certificate, options.ClientKeyPath!);
        return tls;
    }

    private static X509Certificate2Collection Authorities(string file) => Read("--ca-cert-path", file, () =>
    {
        X509Certificate2Collection found = [];
        found.ImportFromPemFile(file);
        return found.Count > 0 ? found : throw new CryptographicException("no certificate is in it.");
    });

    private static SslStreamCertificateContext Client(string certificate, string key) => Read("--client-cert-path, --client-key-path", certificate, () =>
    {
        X509Certificate2 own = X509Certificate2.CreateFromPemFile(certificate, key);
        X509Certificate2Collection chain = [];
        chain.ImportFromPemFile(certificate);
        // The rest of the file are the authorities between this certificate and one that the worker knows.
        return SslStreamCertificateContext.Create(own, chain, offline: true);
    });

    private static T Read<T>(string flag, string file, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{flag} '{file}': {e.Message}", e);
        }
    }
}
