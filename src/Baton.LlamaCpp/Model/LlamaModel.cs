using System.Text;
using Baton.Core.Engine;
using Baton.Core.Text;
using Baton.LlamaCpp.Engine;
using Baton.LlamaCpp.Native;
using Baton.LlamaCpp.Text;
using Microsoft.Extensions.Logging;

namespace Baton.LlamaCpp.Model;

/// <summary>A GGUF model: the weights, mapped once a process and shared by its ranks, and the vocabulary. Safe from any thread.</summary>
public sealed unsafe class LlamaModel : ITextModel, IDisposable
{
    private readonly ILogger _logger;

    private LlamaModel(ModelHandle handle, LlamaModelInfo info, LlamaTokenizer tokenizer, ChatTemplate template, ILogger logger)
    {
        (Handle, Info, Tokenizer, ChatTemplate, _logger) = (handle, info, tokenizer, template, logger);
    }

    public LlamaModelInfo Info { get; }

    public LlamaTokenizer Tokenizer { get; }

    public ChatTemplate ChatTemplate { get; }

    internal ModelHandle Handle { get; }

    string ITextModel.ModelName => Info.Name;

    int ITextModel.VocabSize => Info.VocabSize;

    ChatSupport ITextModel.Chat => ChatTemplate.Support;

    /// <summary>Starts llama.cpp if need be, and loads the model. Blocks for as long as the disk takes.</summary>
    /// <exception cref="EngineException">No library or a wrong one, or a file that is not a usable model; the message says what to do.</exception>
    public static LlamaModel Load(LlamaModelOptions options, ILogger logger)
    {
        string path = Path.GetFullPath(options.ModelPath);
        if (!File.Exists(path)) throw new EngineException($"No model file {path}. Check --model-path.");
        string version = LlamaRuntime.Start(options.LibraryDirectory, logger);

        ModelParams parameters = NativeMethods.ModelDefaultParams();
        parameters.GpuLayers = options.GpuLayers;
        NativeLog.TakeErrors();
        ModelHandle handle;
        fixed (byte* file = NativeText.ToCString(path)) handle = NativeMethods.ModelLoadFromFile(file, parameters);
        if (handle.IsInvalid)
        {
            handle.Dispose();
            throw new EngineException($"llama.cpp {version} does not load {path}. {NativeLog.TakeErrors()}");
        }

        try
        {
            RefuseWhatCannotBeHandedOver(handle, path);
            LlamaTokenizer tokenizer = new(handle);
            LlamaModelInfo info = ReadInfo(handle, options, path, version, tokenizer.VocabSize);
            ChatTemplate template = ReadTemplate(handle, options, tokenizer);
            logger.ModelLoaded(info.Name, info.Description, info.ParameterCount, info.SizeBytes, info.TrainedContextTokens, info.Fingerprint);
            if (template.Support.Problem is { } problem) logger.ChatUnavailable(info.Name, problem);
            return new LlamaModel(handle, info, tokenizer, template, logger);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>A context of this model for one rank. Call it on the thread that will own the engine, or hand it over before first use.</summary>
    public LlamaEngine CreateEngine(LlamaEngineOptions options, TimeProvider time) => new(this, options, time, _logger);

    public int[] Tokenize(string text, bool parseSpecial) => Tokenizer.Tokenize(text, addSpecial: true, parseSpecial);

    public int[] RenderChat(IReadOnlyList<ChatMessage> messages) => ChatTemplate.Render(messages);

    public IDetokenizer CreateDetokenizer(bool skipSpecial = true) => new Utf8Detokenizer(this, skipSpecial, Tokenizer.IsSpecial);

    public ReadOnlySpan<byte> TokenBytes(int token) => Tokenizer.TokenBytes(token);

    public bool IsEndOfGeneration(int token) => Tokenizer.IsEndOfGeneration(token);

    public string? FindGrammarProblem(string grammar)
    {
        using LlamaGrammar? parsed = LlamaGrammar.TryCreate(Tokenizer, grammar, out string? problem);
        return problem;
    }

    /// <summary>Frees the weights once the last engine of this model is disposed too.</summary>
    public void Dispose() => Handle.Dispose();

    private static void RefuseWhatCannotBeHandedOver(ModelHandle handle, string path)
    {
        string? kind = NativeMethods.HasEncoder(handle) != 0 ? "an encoder"
            : NativeMethods.IsRecurrent(handle) != 0 ? "recurrent memory"
            : NativeMethods.IsHybrid(handle) != 0 ? "hybrid memory"
            : NativeMethods.SlidingWindow(handle) > 0 ? "sliding-window attention"
            : null;
        if (kind is not null)
            throw new EngineException($"{path} is a model with {kind}. Baton hands KV cells over position by position, which needs a decoder with full attention in every layer.");
    }

    private static LlamaModelInfo ReadInfo(ModelHandle handle, LlamaModelOptions options, string path, string version, int vocabSize)
    {
        byte[] description = new byte[256];
        fixed (byte* buffer = description) _ = NativeMethods.Description(handle, buffer, (nuint)description.Length);
        return new LlamaModelInfo
        {
            Name = options.ModelName ?? Path.GetFileNameWithoutExtension(path),
            Path = path,
            Fingerprint = ModelFingerprint.Of(path),
            Description = Encoding.UTF8.GetString(description.AsSpan(0, Math.Max(0, description.IndexOf((byte)0)))),
            ParameterCount = NativeMethods.ParameterCount(handle),
            SizeBytes = NativeMethods.ModelBytes(handle),
            LayerCount = NativeMethods.LayerCount(handle),
            VocabSize = vocabSize,
            TrainedContextTokens = NativeMethods.TrainedContext(handle),
            LibraryVersion = version,
        };
    }

    private static ChatTemplate ReadTemplate(ModelHandle handle, LlamaModelOptions options, LlamaTokenizer tokenizer)
    {
        if (options.ChatTemplate is { } family)
        {
            ChatTemplate chosen = new(tokenizer, family, family);
            return chosen.Support.Problem is null ? chosen
                : throw new EngineException($"--chat-template {family}: llama.cpp has no template family of that name.");
        }
        byte* text = NativeMethods.ChatTemplate(handle, null);
        return new ChatTemplate(tokenizer, "the model's own", text is null ? null : NativeText.FromCString(text));
    }
}
