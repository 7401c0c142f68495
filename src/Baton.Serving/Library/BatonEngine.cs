using System.Runtime.CompilerServices;
using System.Text.Json;
using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Requests;
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
    private readonly ILogger _logger;

    private BatonEngine(Worker worker, ILoggerFactory loggers) => (_worker, _logger) = (worker, loggers.CreateLogger<BatonEngine>());

    public ITextModel Model => _worker.Text;

    /// <summary>On prefill engines: what both halves' requests name.</summary>
    public BootstrapAddress? Bootstrap => _worker.Bootstrap;

    public int DpSize => _worker.Options.DpSize;

    /// <summary>Requests inside, waiting or running.</summary>
    public int LiveRequests => _worker.LiveRequests;

    /// <summary>Loads the model and starts the ranks.</summary>
    /// <param name="options">As <c>baton serve</c>'s; what concerns HTTP is not looked at.</param>
    /// <exception cref="System.ComponentModel.DataAnnotations.ValidationException">An option is out of range.</exception>
    /// <exception cref="Core.Engine.EngineException">The model cannot be served.</exception>
    public static async Task<BatonEngine> LoadAsync(ServeOptions options, TimeProvider time, ILoggerFactory? loggers = null, CancellationToken ct = default)
    {
        loggers ??= NullLoggerFactory.Instance;
        return new(await WorkerBuilder.BuildAsync(options, httpPort: 0, time, loggers, ct), loggers);
    }

    /// <summary>A conversation as the tokens of a prompt, for <see cref="EngineRequest.InputIds"/>.</summary>
    /// <exception cref="ChatTemplateException">An unknown role, or a model without a chat template.</exception>
    public int[] RenderChat(IReadOnlyList<ChatMessage> messages) => Model.RenderChat(messages);

    /// <summary>Generates one answer. Leaving the enumeration early, or cancelling it, ends the request on its rank.</summary>
    /// <exception cref="BadRequestException">A value is not allowed; the message names it.</exception>
    /// <exception cref="CallFailedException">The request failed; see <see cref="CallFailedException.Failure"/>.</exception>
    public async IAsyncEnumerable<GenerationUpdate> GenerateAsync(EngineRequest request, [EnumeratorCancellation] CancellationToken ct = default)
    {
        await foreach (BatchUpdate update in GenerateAsync([request], ct)) yield return update.Update;
    }

    /// <summary>Generates one answer a request, side by side: each has its own ranks and its own room. Leaving the enumeration early ends them all.</summary>
    /// <exception cref="BadRequestException">A value of some request is not allowed; nothing was started.</exception>
    /// <exception cref="CallFailedException">A request failed, and the others were given up with it.</exception>
    public async IAsyncEnumerable<BatchUpdate> GenerateAsync(IReadOnlyList<EngineRequest> requests, [EnumeratorCancellation] CancellationToken ct = default)
    {
        using CallRun run = CallRun.Start(_worker, Plan(requests));
        StreamPosition[] given = new StreamPosition[run.Runs.Count];
        await foreach (int index in run.NewsAsync(ct))
        {
            if (CallRun.FailureOf(run.Runs[index]) is { } failure) throw new CallFailedException(failure);
            Answer answer = run.Runs[index].Answer;
            StreamPosition before = given[index];
            given[index] = new StreamPosition(answer.VisibleLength, answer.Tokens.Count);
            yield return new BatchUpdate(index, new GenerationUpdate(
                answer.VisibleText[before.Text..].ToString(), [.. answer.Tokens.Skip(before.Tokens)], answer.End, answer.MatchedStop));
        }
    }

    /// <summary>Ends a running request, or all that its id began.</summary>
    public void Abort(string requestId) => _worker.Abort(requestId, all: false);

    /// <summary>Ends the requests inside with <see cref="FailureReason.ShuttingDown"/> and frees the model.</summary>
    public ValueTask DisposeAsync() => _worker.DisposeAsync();

    private GenerationCall Plan(IReadOnlyList<EngineRequest> requests)
    {
        if (requests.Count == 0) throw new BadRequestException(null, "A batch needs at least one request.");
        try
        {
            return ReadAll(requests);
        }
        catch (BadRequestException bad) when (Bootstrap is { } bootstrap)
        {
            // As over HTTP: decode's half may wait for these rooms already.
            _worker.Refuse(requests.Where(one => one.Room is > 0 and <= BootstrapRoom.MaxValue).Select(one => new BootstrapInfo(bootstrap, new BootstrapRoom(one.Room!.Value), null)),
                RequestFailure.Of(FailureReason.InvalidRequest, bad.Message));
            throw;
        }
    }

    private GenerationCall ReadAll(IReadOnlyList<EngineRequest> requests)
    {
        List<PlannedSequence> sequences = [];
        HashSet<ulong> rooms = [];
        foreach (EngineRequest request in requests)
        {
            if (request.Room is { } room and not 0 && !rooms.Add(room))
                throw new BadRequestException("bootstrap_room", $"bootstrap_room: {room} is there twice; every request needs a room of its own.");
            using JsonDocument body = JsonDocument.Parse(request.ToBody());
            GenerationCall call = GenerateReader.Read(body.RootElement, _worker.Calls, headerRank: null);
            if (call.UsesDeprecatedRank) _logger.DeprecatedRank(call.DeprecatedRankDiffers ? "; both were given and differ, and routed_dp_rank counts" : "");
            sequences.AddRange(call.Sequences);
        }
        return new GenerationCall { Sequences = sequences, IsList = requests.Count > 1 };
    }

    private readonly record struct StreamPosition(int Text, int Tokens);
}
