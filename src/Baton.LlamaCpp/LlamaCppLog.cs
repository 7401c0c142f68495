using Microsoft.Extensions.Logging;

namespace Baton.LlamaCpp;

internal static partial class LlamaCppLog
{
    [LoggerMessage(5001, LogLevel.Information, "llama.cpp {Version} from {Directory}; devices: {Devices}")]
    public static partial void RuntimeStarted(this ILogger logger, string version, string directory, string devices);

    [LoggerMessage(5002, LogLevel.Information, "model {Name}: {Description}, {ParameterCount} parameters, {SizeBytes} bytes, trained for {TrainedContextTokens} tokens, fingerprint {Fingerprint}")]
    public static partial void ModelLoaded(
        this ILogger logger, string name, string description, ulong parameterCount, ulong sizeBytes, int trainedContextTokens, string fingerprint);

    [LoggerMessage(5003, LogLevel.Information, "engine: {CellCount} KV cells of {BytesPerCell} bytes, {MaxSequences} sequences, {MaxBatchTokens} tokens a batch, {Threads} threads")]
    public static partial void EngineCreated(this ILogger logger, int cellCount, int bytesPerCell, int maxSequences, int maxBatchTokens, int threads);

    [LoggerMessage(5004, LogLevel.Warning, "chat is off for model {Name}: {Problem}")]
    public static partial void ChatUnavailable(this ILogger logger, string name, string problem);

    [LoggerMessage(5010, LogLevel.Debug, "llama.cpp: {Line}")]
    public static partial void NativeLine(this ILogger logger, string line);

    [LoggerMessage(5011, LogLevel.Warning, "llama.cpp: {Line}")]
    public static partial void NativeWarning(this ILogger logger, string line);

    [LoggerMessage(5012, LogLevel.Error, "llama.cpp: {Line}")]
    public static partial void NativeError(this ILogger logger, string line);
}
