using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Baton.Router.Tests.Http;

/// <summary>A certificate authority that lives as long as a test, with its files.</summary>
internal sealed class TestAuthority : IDisposable
{
    private readonly X509Certificate2 _root;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("baton-tls-");
    private int _serial;

    public TestAuthority(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN=authority {name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        _root = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        CertificateFile = Path.Combine(Folder, "ca.pem");
        File.WriteAllText(CertificateFile, _root.ExportCertificatePem());
    }

    public string Folder => _folder.FullName;

    public string CertificateFile { get; }

    /// <summary>A certificate for 127.0.0.1, good for both ends, with its key.</summary>
    public X509Certificate2 Issue(string name)
    {
        using X509Certificate2 pem = IssueWithKey(name);
        // A key that only lives in memory is not taken by every platform's TLS.
        return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
    }

    public (string Certificate, string Key) IssueFiles(string name)
    {
        using X509Certificate2 issued = IssueWithKey(name);
        string certificate = Path.Combine(Folder, name + ".pem"), keyFile = Path.Combine(Folder, name + ".key");
        File.WriteAllText(certificate, issued.ExportCertificatePem());
        using ECDsa key = issued.GetECDsaPrivateKey()!;
        File.WriteAllText(keyFile, key.ExportPkcs8PrivateKeyPem());
        return (certificate, keyFile);
    }

    public bool HasIssued(X509Certificate2 certificate)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.CustomTrustStore.Add(_root);
        return chain.Build(certificate);
    }

    public void Dispose()
    {
        _root.Dispose();
        _folder.Delete(recursive: true);
    }

    private X509Certificate2 IssueWithKey(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        using X509Certificate2 bare = request.Create(_root, new DateTimeOffset(_root.NotBefore), new DateTimeOffset(_root.NotAfter), BitConverter.GetBytes(++_serial));
        return bare.CopyWithPrivateKey(key);
    }
}
