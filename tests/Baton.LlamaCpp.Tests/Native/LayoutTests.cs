using System.Runtime.InteropServices;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Tests.Native;

/// <summary>The tables of llama.cpp v0.5.0's structs on a 64-bit target.</summary>
public sealed class LayoutTests
{
    [Fact]
    public void Model_params_have_80_bytes_and_these_offsets() => Expect<ModelParams>(80,
    [
        ("Devices", 0), ("TensorBufferOverrides", 8), ("GpuLayers", 16), ("SplitMode", 20), ("LoadMode", 24), ("LazyMode", 28), ("MainGpu", 32),
        ("TensorSplit", 40), ("ProgressCallback", 48), ("ProgressCallbackUserData", 56), ("KvOverrides", 64), ("VocabOnly", 72), ("CheckTensors", 73),
        ("UseExtraBufferTypes", 74), ("NoHost", 75), ("NoAlloc", 76), ("LoadMtp", 77),
    ]);

    [Fact]
    public void Context_params_have_160_bytes_and_these_offsets() => Expect<ContextParams>(160,
    [
        ("ContextCells", 0), ("BatchTokens", 4), ("MicroBatchTokens", 8), ("MaxSequences", 12), ("RecurrentSequences", 16), ("MaxOutputs", 20),
        ("MaxOutputsPerSequence", 24), ("Threads", 28), ("BatchThreads", 32), ("ContextType", 36), ("RopeScalingType", 40), ("PoolingType", 44),
        ("AttentionType", 48), ("FlashAttention", 52), ("RopeFrequencyBase", 56), ("RopeFrequencyScale", 60), ("YarnExtFactor", 64), ("YarnAttnFactor", 68),
        ("YarnBetaFast", 72), ("YarnBetaSlow", 76), ("YarnOriginalContext", 80), ("DefragThreshold", 84), ("EvalCallback", 88), ("EvalCallbackUserData", 96),
        ("KeyType", 104), ("ValueType", 108), ("AbortCallback", 112), ("AbortCallbackUserData", 120), ("Embeddings", 128), ("OffloadKqv", 129),
        ("NoPerf", 130), ("OpOffload", 131), ("SwaFull", 132), ("UnifiedKv", 133), ("Samplers", 136), ("SamplerCount", 144), ("OtherContext", 152),
    ]);

    [Fact]
    public void A_batch_has_56_bytes_and_these_offsets() => Expect<LlamaBatch>(56,
        [("TokenCount", 0), ("Tokens", 8), ("Embeddings", 16), ("Positions", 24), ("SequenceCounts", 32), ("Sequences", 40), ("Logits", 48)]);

    [Fact]
    public void Token_data_have_12_bytes_and_their_array_32()
    {
        Expect<TokenData>(12, [("Id", 0), ("Logit", 4), ("Probability", 8)]);
        Expect<TokenDataArray>(32, [("Data", 0), ("Count", 8), ("Selected", 16), ("Sorted", 24)]);
    }

    [Fact]
    public void A_chat_message_is_two_pointers() => Expect<NativeChatMessage>(16, [("Role", 0), ("Content", 8)]);

    [Fact]
    public void The_loaded_library_has_the_defaults_of_the_table()
    {
        _ = DemoModel.Instance;

        Assert.Empty(LayoutCheck.FindDifferences(NativeMethods.ModelDefaultParams(), NativeMethods.ContextDefaultParams()));
    }

    [Fact]
    public void A_field_that_moved_is_named_with_both_values()
    {
        _ = DemoModel.Instance;
        ContextParams moved = NativeMethods.ContextDefaultParams();
        moved.FlashAttention = 512;

        string difference = Assert.Single(LayoutCheck.FindDifferences(NativeMethods.ModelDefaultParams(), moved));

        Assert.Equal("context.flash_attn_type is 512, expected -1", difference);
    }

    private static void Expect<T>(int size, (string Field, int Offset)[] fields) where T : struct
    {
        Assert.Equal(size, Marshal.SizeOf<T>());
        Assert.Equal(typeof(T).GetFields(System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.NonPublic).Length, fields.Length);
        Assert.All(fields, field => Assert.Equal((field.Field, field.Offset), (field.Field, (int)Marshal.OffsetOf<T>(field.Field))));
    }
}
