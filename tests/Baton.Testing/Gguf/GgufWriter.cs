using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;

namespace Baton.Testing.Gguf;

/// <summary>Writes GGUF version 3 files of random-weight llama models: byte-level BPE without real merges, ChatML, equal seeds give equal bytes.</summary>
public static class GgufWriter
{
    private const int Alignment = 32;
    private const uint TypeF32 = 0, TypeF16 = 1;
    private const uint UInt32 = 4, Int32 = 5, Float32 = 6, Bool = 7, Text = 8, Array = 9;

    /// <summary>The last three tokens of the vocabulary, in this order; the last ends a generation.</summary>
    public static readonly IReadOnlyList<string> SpecialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

    /// <summary>Writes the model, or leaves a file alone that this method wrote before for the same shape.</summary>
    /// <returns>The path.</returns>
    public static string EnsureInTemp(GgufModelShape shape, string name)
    {
        string path = Path.Combine(Path.GetTempPath(), $"baton-{name}-{(uint)HashOf(shape):x8}.gguf");
        if (File.Exists(path)) return path;
        // Its own for each writer: two tests of one process may need the same shape at the same time.
        string unfinished = $"{path}.{Guid.NewGuid():n}";
        Write(unfinished, shape);
        File.Move(unfinished, path, overwrite: true);
        return path;
    }

    public static void Write(string path, GgufModelShape shape)
    {
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 20);
        using BinaryWriter writer = new(file, Encoding.UTF8);
        List<Tensor> tensors = [.. Tensors(shape)];
        WriteHeader(writer, shape, tensors);
        Pad(writer);
        foreach (Tensor tensor in tensors)
        {
            WriteWeights(writer, tensor, shape);
            Pad(writer);
        }
    }

    private static int HashOf(GgufModelShape shape)
    {
        // String hashes differ by process; this one must not.
        uint hash = 2166136261;
        foreach (byte value in Encoding.UTF8.GetBytes(shape.ToString())) hash = (hash ^ value) * 16777619;
        return (int)hash;
    }

    private static IEnumerable<Tensor> Tensors(GgufModelShape shape)
    {
        int width = shape.Width, keyWidth = shape.KvHeads * shape.HeadWidth;
        yield return new Tensor("token_embd.weight", width, shape.VocabSize, Scale: 1);
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            string prefix = $"blk.{layer}.";
            yield return new Tensor(prefix + "attn_norm.weight", width, 0, Scale: 0);
            yield return new Tensor(prefix + "attn_q.weight", width, width, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "attn_k.weight", width, keyWidth, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "attn_v.weight", width, keyWidth, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "attn_output.weight", width, width, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "ffn_norm.weight", width, 0, Scale: 0);
            yield return new Tensor(prefix + "ffn_gate.weight", width, shape.FeedForward, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "ffn_up.weight", width, shape.FeedForward, Scale: 1.7f / MathF.Sqrt(width));
            yield return new Tensor(prefix + "ffn_down.weight", shape.FeedForward, width, Scale: 1.7f / MathF.Sqrt(shape.FeedForward));
        }
        yield return new Tensor("output_norm.weight", width, 0, Scale: 0);
        yield return new Tensor("output.weight", width, shape.VocabSize, Scale: 3.4f / MathF.Sqrt(width));
    }

    private static void WriteHeader(BinaryWriter writer, GgufModelShape shape, List<Tensor> tensors)
    {
        List<Action> metadata = [.. Metadata(writer, shape)];
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)metadata.Count);
        foreach (Action entry in metadata) entry();
        ulong offset = 0;
        foreach (Tensor tensor in tensors)
        {
            WriteText(writer, tensor.Name);
            writer.Write(tensor.IsVector ? 1u : 2u);
            writer.Write((ulong)tensor.Columns);
            if (!tensor.IsVector) writer.Write((ulong)tensor.Rows);
            bool isHalf = shape.IsHalf && !tensor.IsVector;
            writer.Write(isHalf ? TypeF16 : TypeF32);
            writer.Write(offset);
            ulong bytes = (ulong)tensor.Columns * (ulong)Math.Max(tensor.Rows, 1) * (isHalf ? 2ul : 4ul);
            offset += (bytes + Alignment - 1) / Alignment * Alignment;
        }
    }

    private static IEnumerable<Action> Metadata(BinaryWriter writer, GgufModelShape shape)
    {
        string[] tokens = Tokens(shape.VocabSize);
        yield return () => WriteString("general.architecture", "llama");
        yield return () => WriteString("general.name", "Baton random weights");
        yield return () => WriteNumber("general.file_type", shape.IsHalf ? 1 : 0);
        yield return () => WriteNumber("llama.context_length", shape.ContextTokens);
        yield return () => WriteNumber("llama.embedding_length", shape.Width);
        yield return () => WriteNumber("llama.block_count", shape.Layers);
        yield return () => WriteNumber("llama.feed_forward_length", shape.FeedForward);
        yield return () => WriteNumber("llama.attention.head_count", shape.Heads);
        yield return () => WriteNumber("llama.attention.head_count_kv", shape.KvHeads);
        yield return () => WriteNumber("llama.rope.dimension_count", shape.HeadWidth);
        yield return () => WriteNumber("llama.vocab_size", shape.VocabSize);
        yield return () => WriteFloat("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        yield return () => WriteFloat("llama.rope.freq_base", 10_000);
        yield return () => WriteString("tokenizer.ggml.model", "gpt2");
        yield return () => WriteString("tokenizer.ggml.pre", shape.PreTokenizer);
        yield return () => WriteStrings("tokenizer.ggml.tokens", tokens);
        yield return () => WriteTokenTypes(shape.VocabSize);
        // The loader wants a merge; this one joins two bytes that never stand side by side in UTF-8.
        yield return () => WriteStrings("tokenizer.ggml.merges", [$"{ByteSymbols[0xFE]} {ByteSymbols[0xFF]}"]);
        yield return () => WriteNumber("tokenizer.ggml.bos_token_id", shape.VocabSize - 3);
        yield return () => WriteNumber("tokenizer.ggml.eos_token_id", shape.VocabSize - 1);
        yield return () => WriteFlag("tokenizer.ggml.add_bos_token", false);
        if (shape.ChatTemplate is { } template) yield return () => WriteString("tokenizer.chat_template", template);

        void WriteNumber(string key, int number)
        {
            WriteText(writer, key);
            writer.Write(UInt32);
            writer.Write((uint)number);
        }

        void WriteFloat(string key, float number)
        {
            WriteText(writer, key);
            writer.Write(Float32);
            writer.Write(number);
        }

        void WriteFlag(string key, bool flag)
        {
            WriteText(writer, key);
            writer.Write(Bool);
            writer.Write(flag);
        }

        void WriteString(string key, string text)
        {
            WriteText(writer, key);
            writer.Write(Text);
            WriteText(writer, text);
        }

        void WriteStrings(string key, string[] texts)
        {
            WriteText(writer, key);
            writer.Write(Array);
            writer.Write(Text);
            writer.Write((ulong)texts.Length);
            foreach (string text in texts) WriteText(writer, text);
        }

        void WriteTokenTypes(int count)
        {
            const int Normal = 1, Control = 3;
            WriteText(writer, "tokenizer.ggml.token_type");
            writer.Write(Array);
            writer.Write(Int32);
            writer.Write((ulong)count);
            for (int token = 0; token < count; token++) writer.Write(token < count - SpecialTokens.Count ? Normal : Control);
        }
    }

    /// <summary>GPT-2's printable stand-in for each byte.</summary>
    private static readonly string[] ByteSymbols = MakeByteSymbols();

    private static string[] MakeByteSymbols()
    {
        string[] symbols = new string[256];
        int next = 256;
        for (int value = 0; value < 256; value++)
        {
            bool isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            symbols[value] = ((char)(isPrintable ? value : next++)).ToString();
        }
        return symbols;
    }

    private static string[] Tokens(int vocabSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabSize, 256 + SpecialTokens.Count);
        int fillers = vocabSize - 256 - SpecialTokens.Count;
        return [.. ByteSymbols, .. Enumerable.Range(0, fillers).Select(index => $"filler{index}"), .. SpecialTokens];
    }

    private static void WriteWeights(BinaryWriter writer, Tensor tensor, GgufModelShape shape)
    {
        float[] row = new float[tensor.Columns];
        Half[] halves = new Half[tensor.Columns];
        ulong state = shape.Seed * 0x9E3779B97F4A7C15;
        foreach (char letter in tensor.Name) state = (state ^ letter) * 0x100000001B3;
        for (int index = 0; index < Math.Max(tensor.Rows, 1); index++)
        {
            if (tensor.IsVector) row.AsSpan().Fill(1);
            else FillUniform(row, tensor.Scale, ref state);
            if (tensor.IsVector || !shape.IsHalf)
            {
                writer.Write(MemoryMarshal.AsBytes(row.AsSpan()));
                continue;
            }
            TensorPrimitives.ConvertToHalf(row, halves);
            writer.Write(MemoryMarshal.AsBytes(halves.AsSpan()));
        }
    }

    /// <summary>Uniform in [-scale, scale], from splitmix64.</summary>
    private static void FillUniform(Span<float> row, float scale, ref ulong state)
    {
        for (int index = 0; index < row.Length; index++)
        {
            state += 0x9E3779B97F4A7C15;
            ulong bits = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
            row[index] = (((bits >> 40) * (2f / (1 << 24))) - 1) * scale;
        }
    }

    private static void WriteText(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        int missing = (int)((Alignment - (writer.BaseStream.Position % Alignment)) % Alignment);
        writer.Write(new byte[missing]);
    }

    /// <param name="Columns">The inner dimension.</param>
    /// <param name="Rows">0 for a vector, which is a norm: all ones.</param>
    private sealed record Tensor(string Name, int Columns, int Rows, float Scale)
    {
        internal bool IsVector => Rows == 0;
    }
}
