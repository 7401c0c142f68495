using System.Runtime.CompilerServices;
using System.Text.Json;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Text;
using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Serving.Library;

/// <summary>A worker inside your own process, without an HTTP server: load a model, generate, dispose.</summary>
/// <remarks>
/// Unified, or one half of a pair: a prefill and a decode engine hand over as their processes would, with the prefill engine's
/// bootstrap server (<see cref="Bootstrap"/>) between them. Thread-safe.
/// </remarks>
public sealed class BatonEngine : IAsyncDisposable
{
    private readonly Worker _worker;

    private BatonEngine(Worker worker) => _worker = worker;

    public ITextModel Model => _worker.Text;

    /// <summary>On prefill engines: what both halves' requests name.</summary>
    public BootstrapAddress? Bootstrap => _worker.Bootstrap;

    public int DpSize => _worker.Options.DpSize;

    /// <summary>Loads the model and starts the ranks.</summary>
    /// <param name="options">As <c>baton serve</c>'s; what concerns HTTP is not looked at.</param>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">An option is out of range.</exception>
    /// <exception cref="Core.Engine.EngineException">The model cannot be served.</exception>
    public static async Task<BatonEngine> LoadAsync(ServeOptions options, TimeProvider time, ILoggerFactory? loggers = null, CancellationToken ct = default) =>
        new(await WorkerBuilder.BuildAsync(options, httpPort: 0, time, loggers ?? NullLoggerFactory.Instance, ct));

    /// <summary>A conversation as the tokens of a prompt, for <see cref="EngineRequest.InputIds"/>.</summary>
    /// <exception cref="ChatTemplateException">An unknown role, or a model without a chat template.</exception>
    public int[] RenderChat(IReadOnlyList<ChatMessage> messages) => Model.RenderChat(messages);

    /// <summary>Generates one answer. Leaving the enumeration early, or cancelling it, ends the request on its rank.</summary>
    /// <exception cref="BadRequestException">A value is not allowed; the message names it.</exception>
    /// <exception cref="CallFailedException">The request failed; see <see cref="CallFailedException.Failure"/>.</exception>
    public async IAsyncEnumerable<GenerationUpdate> GenerateAsync(EngineRequest request, [EnumeratorCancellation] CancellationToken ct = default)
    {
        using CallRun run = CallRun.Start(_worker, Plan(request));
        Answer answer = run.Runs[0].Answer;
        StreamPosition given = default;
        await foreach (int _ in run.NewsAsync(ct))
        {
            if (CallRun.FailureOf(run.Runs[0]) is { } failure) throw new CallFailedException(failure);
            yield return new GenerationUpdate(
                answer.VisibleText[given.Text..].ToString(), [.. answer.Tokens.Skip(given.Tokens)], answer.End, answer.MatchedStop);
            given = new StreamPosition(answer.VisibleLength, answer.Tokens.Count);
        }
    }

    /// <summary>Ends a running request, or all that its id began.</summary>
    public void Abort(string requestId) => _worker.Abort(requestId, all: false);

    /// <summary>Ends the requests inside with <see cref="FailureReason.ShuttingDown"/> and frees the model.</summary>
    public ValueTask DisposeAsync() => _worker.DisposeAsync();

    private GenerationCall Plan(EngineRequest request)
    {
        using JsonDocument body = JsonDocument.Parse(request.ToBody());
        return GenerateReader.Read(body.RootElement, _worker.Calls, headerRank: null);
    }

    private readonly record struct StreamPosition(int Text, int Tokens);
}
