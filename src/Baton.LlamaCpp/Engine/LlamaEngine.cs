using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Baton.Core.Engine;
using Baton.Core.Kv;
using Baton.Core.Sampling;
using Baton.LlamaCpp.Model;
using Baton.LlamaCpp.Native;
using Baton.LlamaCpp.Text;
using Microsoft.Extensions.Logging;

namespace Baton.LlamaCpp.Engine;

/// <summary>One llama.cpp context. It checks in managed code whatever would end the process or touch a neighbour, whoever asks for it.</summary>
public sealed unsafe partial class LlamaEngine : IEngine
{
    private const int DecodeOk = 0, DecodeAborted = 2;

    private readonly LlamaModel _model;
    private readonly LlamaTokenizer _tokenizer;
    private readonly TimeProvider _time;
    private readonly ContextHandle _handle;
    private readonly nint _context;
    private readonly KvMemory _kv;
    private readonly NativeBatch _batch;
    private readonly SamplerScratch _scratch;
    private readonly EngineSequence[] _sequences;
    private readonly List<Output> _outputs = [];
    // Pinned, so the native side can read it; not freed by hand, so Interrupt may come late.
    private readonly int[] _interrupt = GC.AllocateArray<int>(1, pinned: true);
    private long _step;
    private int _usedCells;
    private bool _isDisposed;

    internal LlamaEngine(LlamaModel model, LlamaEngineOptions options, TimeProvider time, ILogger logger)
    {
        (_model, _tokenizer, _time) = (model, model.Tokenizer, time);
        RefuseOutOfRange(options);
        int contextTokens = options.ContextTokens ?? Math.Clamp(model.Info.TrainedContextTokens, 1, 8192);
        int cellCount = options.CellCount ?? Math.Max(contextTokens, 8192);
        int sequenceIds = options.MaxSequences + KvMemory.ScratchSequences;

        _handle = CreateContext(options, cellCount, sequenceIds);
        _context = _handle.DangerousGetHandle();
        try
        {
            int grantedCells = (int)NativeMethods.ContextCells(_handle);
            int grantedBatch = (int)Math.Min(NativeMethods.BatchTokens(_handle), NativeMethods.MicroBatchTokens(_handle));
            // The library cuts a batch to the cells that there are; a batch over its limit is an assertion.
            int maxBatchTokens = Math.Min(options.MaxBatchTokens, grantedBatch);
            if (NativeMethods.MaxSequences(_handle) != sequenceIds)
                throw new EngineException($"llama.cpp granted {NativeMethods.MaxSequences(_handle)} sequences; {sequenceIds} were asked for.");

            _batch = new NativeBatch(maxBatchTokens);
            _scratch = new SamplerScratch(model.Info.VocabSize);
            _sequences = [.. Enumerable.Range(0, options.MaxSequences).Select(_ => new EngineSequence())];
            nint memory = NativeMethods.Memory(_handle);
            _kv = new KvMemory(_context, memory, options.MaxSequences, ProbeLayout(memory));
            Info = new EngineInfo
            {
                ModelName = model.Info.Name,
                ModelFingerprint = model.Info.Fingerprint,
                EngineOptions = $"llama.cpp {model.Info.LibraryVersion}; flash_attn 1; kv_unified 1; type_k {(int)options.CellType}; type_v {(int)options.CellType}",
                ContextTokens = Math.Min(contextTokens, grantedCells),
                CellCount = grantedCells,
                MaxSequences = options.MaxSequences,
                MaxBatchTokens = maxBatchTokens,
                VocabSize = model.Info.VocabSize,
                Kv = _kv.Layout,
            };
        }
        catch
        {
            _batch?.Dispose();
            _handle.Dispose();
            throw;
        }
        logger.EngineCreated(Info.CellCount, Info.Kv.BytesPerToken, Info.MaxSequences, Info.MaxBatchTokens, options.Threads);
    }

    public EngineInfo Info { get; }

    public void Execute(StepPlan plan, StepResult result)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        long startedAt = _time.GetTimestamp();
        result.Clear();
        _step++;
        Close(plan.Closing);             // 1. cells and samplers of ended sequences come back
        Import(plan.Imports, result);    // 2. chunks from prefill become cells
        Open(plan.Opening, result);      // 3. samplers, with the tokens that were drawn elsewhere
        FillBatch(plan, result);         // 4. prompt chunks, 5. decode rows
        if (_batch.Count > 0 && Compute(result)) Sample(result);
        Export(plan.Exports, result);    // 6. computed stretches leave
        result.Elapsed = _time.GetElapsedTime(startedAt);
    }

    /// <remarks>The flag stays until the batch that it cuts short: a call that comes too early is not lost.</remarks>
    public void Interrupt() => Volatile.Write(ref _interrupt[0], 1);

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        foreach (EngineSequence sequence in _sequences) sequence.Reset();
        _handle.Dispose();
        _batch.Dispose();
    }

    private static void RefuseOutOfRange(LlamaEngineOptions options)
    {
        System.ComponentModel.DataAnnotations.Validator.ValidateObject(options, new(options), validateAllProperties: true);
    }

    private ContextHandle CreateContext(LlamaEngineOptions options, int cellCount, int sequenceIds)
    {
        ContextParams parameters = NativeMethods.ContextDefaultParams();
        parameters.ContextCells = (uint)cellCount;
        // One micro-batch a step: an interrupted step then leaves nothing behind.
        parameters.BatchTokens = (uint)options.MaxBatchTokens;
        parameters.MicroBatchTokens = (uint)options.MaxBatchTokens;
        parameters.MaxSequences = (uint)sequenceIds;
        parameters.Threads = options.Threads;
        parameters.BatchThreads = options.Threads;
        parameters.FlashAttention = 1;
        parameters.UnifiedKv = 1;
        parameters.KeyType = (int)options.CellType;
        parameters.ValueType = (int)options.CellType;
        parameters.AbortCallback = (nint)(delegate* unmanaged[Cdecl]<void*, byte>)&ShouldAbort;
        parameters.AbortCallbackUserData = Marshal.UnsafeAddrOfPinnedArrayElement(_interrupt, 0);

        NativeLog.TakeErrors();
        ContextHandle handle = NativeMethods.InitFromModel(_model.Handle, parameters);
        if (!handle.IsInvalid)
        {
            handle.Hold(_model.Handle);
            return handle;
        }
        handle.Dispose();
        throw new EngineException(
            $"llama.cpp gave no context of {cellCount} KV cells, {options.MaxSequences} sequences and {options.MaxBatchTokens} tokens a batch. {NativeLog.TakeErrors()} "
            + "Lower --max-total-tokens, or free memory.");
    }

    /// <summary>Computes one token and looks at its state: row sizes differ by model, and a memory of another kind is found out here.</summary>
    private KvLayout ProbeLayout(nint memory)
    {
        _batch.Clear();
        _batch.Add(token: 0, position: 0, sequence: 0, wantsLogits: true);
        int code = NativeMethods.Decode(_context, _batch.AsNative());
        if (code != DecodeOk) throw new EngineException($"llama_decode answered {code} to the first token. {NativeLog.TakeErrors()}");
        nuint size = NativeMethods.StateSize(_context, 0);
        if (size > 64 << 20) throw new EngineException($"One token of this model takes {size} bytes of state.");
        byte[] blob = new byte[(int)size];
        fixed (byte* target = blob)
        {
            if (NativeMethods.StateGet(_context, target, size, 0) != size) throw new EngineException("llama.cpp did not write the state of one token.");
        }
        if (NativeMethods.SequenceRemove(memory, 0, 0, -1) == 0) throw new EngineException("llama.cpp did not free the first token's cell.");
        return KvBlob.ReadLayout(blob);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte ShouldAbort(void* flag) => (byte)(Volatile.Read(ref *(int*)flag) & 1);

    private readonly record struct Output(int Row, int Sequence, int Position, bool IsSample);
}
