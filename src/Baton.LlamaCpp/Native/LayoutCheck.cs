namespace Baton.LlamaCpp.Native;

/// <summary>Compares the library's own defaults, read through our layouts, with the table of the versions that the layouts were written for.</summary>
/// <remarks>A field that moved shows up as two wrong values here, instead of as a corrupted context later.</remarks>
internal static class LayoutCheck
{
    /// <summary>What <c>llama_version()</c> of the supported releases says. Their layouts are equal, and every test passes with either on linux-x64.</summary>
    internal static readonly string[] SupportedVersions = ["0.5.0-dev", "0.4.0-dev"];

    /// <returns>One line per field that differs; empty when the layouts fit.</returns>
    internal static List<string> FindDifferences(in ModelParams model, in ContextParams context)
    {
        List<string> found = [];
        Expect(found, "model.devices", model.Devices, 0);
        Expect(found, "model.tensor_buft_overrides", model.TensorBufferOverrides, 0);
        Expect(found, "model.n_gpu_layers", model.GpuLayers, -1);
        Expect(found, "model.split_mode", model.SplitMode, 1);
        Expect(found, "model.load_mode", model.LoadMode, -1);
        Expect(found, "model.lazy_mode", model.LazyMode, 1);
        Expect(found, "model.main_gpu", model.MainGpu, 0);
        Expect(found, "model.tensor_split", model.TensorSplit, 0);
        Expect(found, "model.progress_callback", model.ProgressCallback, 0);
        Expect(found, "model.progress_callback_user_data", model.ProgressCallbackUserData, 0);
        Expect(found, "model.kv_overrides", model.KvOverrides, 0);
        Expect(found, "model.vocab_only", model.VocabOnly, 0);
        Expect(found, "model.check_tensors", model.CheckTensors, 0);
        Expect(found, "model.use_extra_bufts", model.UseExtraBufferTypes, 1);
        Expect(found, "model.no_host", model.NoHost, 0);
        Expect(found, "model.no_alloc", model.NoAlloc, 0);
        Expect(found, "model.load_mtp", model.LoadMtp, 0);

        Expect(found, "context.n_ctx", context.ContextCells, 512);
        Expect(found, "context.n_batch", context.BatchTokens, 2048);
        Expect(found, "context.n_ubatch", context.MicroBatchTokens, 512);
        Expect(found, "context.n_seq_max", context.MaxSequences, 1);
        Expect(found, "context.n_rs_seq", context.RecurrentSequences, 0);
        Expect(found, "context.n_outputs_max", context.MaxOutputs, 0);
        Expect(found, "context.n_outputs_max_per_seq", context.MaxOutputsPerSequence, 1);
        Expect(found, "context.n_threads", context.Threads, 4);
        Expect(found, "context.n_threads_batch", context.BatchThreads, 4);
        Expect(found, "context.ctx_type", context.ContextType, 0);
        Expect(found, "context.rope_scaling_type", context.RopeScalingType, -1);
        Expect(found, "context.pooling_type", context.PoolingType, -1);
        Expect(found, "context.attention_type", context.AttentionType, -1);
        Expect(found, "context.flash_attn_type", context.FlashAttention, -1);
        Expect(found, "context.rope_freq_base", context.RopeFrequencyBase, 0);
        Expect(found, "context.rope_freq_scale", context.RopeFrequencyScale, 0);
        Expect(found, "context.yarn_ext_factor", context.YarnExtFactor, -1);
        Expect(found, "context.yarn_attn_factor", context.YarnAttnFactor, -1);
        Expect(found, "context.yarn_beta_fast", context.YarnBetaFast, -1);
        Expect(found, "context.yarn_beta_slow", context.YarnBetaSlow, -1);
        Expect(found, "context.yarn_orig_ctx", context.YarnOriginalContext, 0);
        Expect(found, "context.defrag_thold", context.DefragThreshold, -1);
        Expect(found, "context.cb_eval", context.EvalCallback, 0);
        Expect(found, "context.cb_eval_user_data", context.EvalCallbackUserData, 0);
        Expect(found, "context.type_k", context.KeyType, 1);
        Expect(found, "context.type_v", context.ValueType, 1);
        Expect(found, "context.abort_callback", context.AbortCallback, 0);
        Expect(found, "context.abort_callback_data", context.AbortCallbackUserData, 0);
        Expect(found, "context.embeddings", context.Embeddings, 0);
        Expect(found, "context.offload_kqv", context.OffloadKqv, 1);
        Expect(found, "context.no_perf", context.NoPerf, 1);
        Expect(found, "context.op_offload", context.OpOffload, 1);
        Expect(found, "context.swa_full", context.SwaFull, 1);
        Expect(found, "context.kv_unified", context.UnifiedKv, 0);
        Expect(found, "context.samplers", context.Samplers, 0);
        Expect(found, "context.n_samplers", (nint)context.SamplerCount, 0);
        Expect(found, "context.ctx_other", context.OtherContext, 0);
        return found;
    }

    private static void Expect(List<string> found, string field, double actual, double expected)
    {
        if (!actual.Equals(expected)) found.Add($"{field} is {actual}, expected {expected}");
    }
}
