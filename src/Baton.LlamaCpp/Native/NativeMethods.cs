using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Baton.LlamaCpp.Native;

/// <summary>The C API as it is. Nothing here checks arguments: every caller is a class of this project that does, see docs/engine.md.</summary>
internal static unsafe partial class NativeMethods
{
    internal const string Llama = "llama";
    internal const string Ggml = "ggml";
    internal const string GgmlBase = "ggml-base";

    [LibraryImport(Llama, EntryPoint = "llama_version")]
    internal static partial byte* Version();

    [LibraryImport(Llama, EntryPoint = "llama_log_set")]
    internal static partial void LogSet(delegate* unmanaged[Cdecl]<int, byte*, void*, void> callback, void* userData);

    [LibraryImport(Llama, EntryPoint = "llama_backend_init")]
    internal static partial void BackendInit();

    [LibraryImport(Ggml, EntryPoint = "ggml_backend_load_all_from_path")]
    internal static partial void LoadAllBackends(byte* directory);

    [LibraryImport(Ggml, EntryPoint = "ggml_backend_dev_count")]
    internal static partial nuint DeviceCount();

    [LibraryImport(Ggml, EntryPoint = "ggml_backend_dev_get")]
    internal static partial nint Device(nuint index);

    [LibraryImport(GgmlBase, EntryPoint = "ggml_backend_dev_name")]
    internal static partial byte* DeviceName(nint device);

    [LibraryImport(GgmlBase, EntryPoint = "ggml_backend_dev_description")]
    internal static partial byte* DeviceDescription(nint device);

    [LibraryImport(Llama, EntryPoint = "llama_model_default_params")]
    internal static partial ModelParams ModelDefaultParams();

    [LibraryImport(Llama, EntryPoint = "llama_context_default_params")]
    internal static partial ContextParams ContextDefaultParams();

    [LibraryImport(Llama, EntryPoint = "llama_model_load_from_file")]
    internal static partial ModelHandle ModelLoadFromFile(byte* path, ModelParams parameters);

    [LibraryImport(Llama, EntryPoint = "llama_model_free")]
    internal static partial void ModelFree(nint model);

    [LibraryImport(Llama, EntryPoint = "llama_init_from_model")]
    internal static partial ContextHandle InitFromModel(ModelHandle model, ContextParams parameters);

    [LibraryImport(Llama, EntryPoint = "llama_free")]
    internal static partial void Free(nint context);

    [LibraryImport(Llama, EntryPoint = "llama_n_ctx")]
    internal static partial uint ContextCells(ContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_batch")]
    internal static partial uint BatchTokens(ContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_ubatch")]
    internal static partial uint MicroBatchTokens(ContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_seq_max")]
    internal static partial uint MaxSequences(ContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_get_memory")]
    internal static partial nint Memory(ContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_decode")]
    internal static partial int Decode(nint context, LlamaBatch batch);

    [LibraryImport(Llama, EntryPoint = "llama_get_logits_ith")]
    internal static partial float* Logits(nint context, int batchIndex);

    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_rm")]
    internal static partial byte SequenceRemove(nint memory, int sequence, int start, int end);

    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_cp")]
    internal static partial void SequenceCopy(nint memory, int source, int destination, int start, int end);

    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_pos_min")]
    internal static partial int SequenceMinPosition(nint memory, int sequence);

    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_pos_max")]
    internal static partial int SequenceMaxPosition(nint memory, int sequence);

    [LibraryImport(Llama, EntryPoint = "llama_state_seq_get_size")]
    internal static partial nuint StateSize(nint context, int sequence);

    [LibraryImport(Llama, EntryPoint = "llama_state_seq_get_data")]
    internal static partial nuint StateGet(nint context, byte* destination, nuint size, int sequence);

    [LibraryImport(Llama, EntryPoint = "llama_state_seq_set_data")]
    internal static partial nuint StateSet(nint context, byte* source, nuint size, int sequence);

    [LibraryImport(Llama, EntryPoint = "llama_model_get_vocab")]
    internal static partial nint Vocabulary(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_n_tokens")]
    internal static partial int VocabularySize(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_type")]
    internal static partial int VocabularyType(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_get_add_bos")]
    internal static partial byte AddsBeginOfSequence(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_get_add_eos")]
    internal static partial byte AddsEndOfSequence(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_eos")]
    internal static partial int EndOfSequence(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_is_eog")]
    internal static partial byte IsEndOfGeneration(nint vocabulary, int token);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_get_attr")]
    internal static partial int TokenAttributes(nint vocabulary, int token);

    [LibraryImport(Llama, EntryPoint = "llama_vocab_bos")]
    internal static partial int BeginOfSequence(nint vocabulary);

    [LibraryImport(Llama, EntryPoint = "llama_tokenize")]
    internal static partial int Tokenize(nint vocabulary, byte* text, int textBytes, int* tokens, int capacity, byte addSpecial, byte parseSpecial);

    [LibraryImport(Llama, EntryPoint = "llama_token_to_piece")]
    internal static partial int TokenToPiece(nint vocabulary, int token, byte* buffer, int capacity, int leftStrip, byte special);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_ctx_train")]
    internal static partial int TrainedContext(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_layer")]
    internal static partial int LayerCount(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_params")]
    internal static partial ulong ParameterCount(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_size")]
    internal static partial ulong ModelBytes(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_desc")]
    internal static partial int Description(ModelHandle model, byte* buffer, nuint capacity);

    [LibraryImport(Llama, EntryPoint = "llama_model_has_encoder")]
    internal static partial byte HasEncoder(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_is_recurrent")]
    internal static partial byte IsRecurrent(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_is_hybrid")]
    internal static partial byte IsHybrid(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_n_swa")]
    internal static partial int SlidingWindow(ModelHandle model);

    [LibraryImport(Llama, EntryPoint = "llama_model_meta_val_str")]
    internal static partial int MetadataValue(ModelHandle model, byte* key, byte* buffer, nuint capacity);

    [LibraryImport(Llama, EntryPoint = "llama_model_chat_template")]
    internal static partial byte* ChatTemplate(ModelHandle model, byte* name);

    [LibraryImport(Llama, EntryPoint = "llama_chat_apply_template")]
    internal static partial int ApplyChatTemplate(byte* template, NativeChatMessage* messages, nuint count, byte addAssistant, byte* buffer, int capacity);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_grammar")]
    internal static partial SamplerHandle GrammarInit(nint vocabulary, byte* grammar, byte* root);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_apply")]
    internal static partial void SamplerApply(nint sampler, TokenDataArray* candidates);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_accept")]
    internal static partial void SamplerAccept(nint sampler, int token);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_free")]
    internal static partial void SamplerFree(nint sampler);

    /// <summary><see cref="Environment.SetEnvironmentVariable(string, string?)"/> does not reach getenv of native code on Unix.</summary>
    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetNativeEnvironment(string name, string value, int overwrite);
}
