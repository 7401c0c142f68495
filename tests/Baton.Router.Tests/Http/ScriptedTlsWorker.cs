using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Baton.Router.Tests.Http;

/// <summary>A worker behind TLS that takes each request and closes its connection without a word.</summary>
internal sealed class ScriptedTlsWorker : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _accepting;

    public ScriptedTlsWorker(X509Certificate2 certificate, Action onRequest)
    {
        _listener.Start();
        _accepting = AcceptAsync(certificate, onRequest);
    }

    public Uri Url => new($"https://{_listener.LocalEndpoint}");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _accepting;
        _listener.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync(X509Certificate2 certificate, Action onRequest)
    {
        try
        {
            while (true)
            {
                using TcpClient client = await _listener.AcceptTcpClientAsync(_stop.Token);
                await using SslStream tls = new(client.GetStream());
                await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }, _stop.Token);
                if (await tls.ReadAsync(new byte[64 * 1024], _stop.Token) > 0) onRequest();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or SocketException)
        {
            // Stopped, or the router hung up.
        }
    }
}
