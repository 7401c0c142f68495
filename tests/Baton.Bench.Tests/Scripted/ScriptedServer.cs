using System.Net;
using System.Text;

namespace Baton.Bench.Tests.Scripted;

/// <summary>One piece of a body, sent so long after the piece before it.</summary>
internal readonly record struct Piece(int AfterMs, byte[] Bytes)
{
    public static Piece Text(int afterMs, string text) => new(afterMs, Encoding.UTF8.GetBytes(text));
}

/// <summary>What the server does with one request, to the millisecond.</summary>
internal sealed record Script
{
    public HttpStatusCode Status { get; init; } = HttpStatusCode.OK;
    public int HeadAfterMs { get; init; }
    public IReadOnlyList<Piece> Body { get; init; } = [];
    /// <summary>The connection breaks after the last piece instead of ending.</summary>
    public bool Breaks { get; init; }
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    public static Script Stream(params Piece[] body) => new() { Body = body };
}

/// <summary>A server in virtual time: every answer comes exactly when its script says.</summary>
/// <param name="answer">The n-th request to the generation route and its body, to a script. Other routes answer 404, unless <paramref name="control"/> knows them.</param>
internal sealed class ScriptedServer(TimeProvider time, Func<int, string, Script> answer, Func<string, string?>? control = null) : HttpMessageHandler
{
    private int _requests;

    public List<string> Paths { get; } = [];
    public List<string> Bodies { get; } = [];
    /// <summary>Of the requests to the generation route.</summary>
    public List<Dictionary<string, string>> Headers { get; } = [];

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        string path = request.RequestUri!.AbsolutePath;
        Paths.Add(path);
        bool isGeneration = path is "/generate" or "/v1/completions" or "/v1/chat/completions";
        if (!isGeneration)
        {
            string? text = control?.Invoke(path);
            return new HttpResponseMessage(text is null ? HttpStatusCode.NotFound : HttpStatusCode.OK) { Content = new StringContent(text ?? "") };
        }
        string body = await request.Content!.ReadAsStringAsync(cancellationToken);
        Bodies.Add(body);
        Headers.Add(request.Headers.ToDictionary(header => header.Key, header => string.Join(',', header.Value), StringComparer.OrdinalIgnoreCase));
        Script script = answer(_requests++, body);
        if (script.HeadAfterMs > 0) await Task.Delay(TimeSpan.FromMilliseconds(script.HeadAfterMs), time, cancellationToken);
        HttpResponseMessage response = new(script.Status) { Content = new StreamContent(new ScriptedBody(time, script)) };
        foreach ((string name, string value) in script.Headers) response.Headers.Add(name, value);
        return response;
    }

    private sealed class ScriptedBody(TimeProvider time, Script script) : Stream
    {
        private int _piece;
        private int _offset;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_piece == script.Body.Count) return script.Breaks ? throw new IOException("the connection was reset") : 0;
            Piece piece = script.Body[_piece];
            if (_offset == 0 && piece.AfterMs > 0) await Task.Delay(TimeSpan.FromMilliseconds(piece.AfterMs), time, cancellationToken);
            int count = Math.Min(buffer.Length, piece.Bytes.Length - _offset);
            piece.Bytes.AsSpan(_offset, count).CopyTo(buffer.Span);
            _offset += count;
            if (_offset == piece.Bytes.Length) (_piece, _offset) = (_piece + 1, 0);
            return count;
        }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Flush() => throw new NotSupportedException();
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
