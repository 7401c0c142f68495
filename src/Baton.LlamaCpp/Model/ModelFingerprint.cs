using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Baton.LlamaCpp.Model;

/// <summary>Names a model file's content, so that two workers with different weights of the same shape do not exchange KV.</summary>
/// <remarks>
/// SHA-256 of the whole file up to <see cref="WholeFileBytes"/>. Of a larger one: its length, its first and last 16 MiB (the first hold
/// all metadata and the tensor table), and 256 blocks of 64 KiB evenly spaced between, so a 100 GB file costs 48 MiB of reading. Two
/// files that differ only outside those blocks would pass for one: fine against mix-ups, no defence against someone who wants it.
/// Of a model split over several files, the first counts.
/// </remarks>
public static class ModelFingerprint
{
    public const long WholeFileBytes = 256L << 20;

    private const int EdgeBytes = 16 << 20;
    private const int BlockBytes = 64 << 10;
    private const int BlockCount = 256;

    /// <summary>The first 16 bytes of the hash, in hex.</summary>
    public static string Of(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 20, FileOptions.SequentialScan);
        return Convert.ToHexStringLower(Hash(file, WholeFileBytes).AsSpan(0, 16));
    }

    internal static byte[] Hash(Stream file, long wholeFileBytes)
    {
        if (file.Length <= wholeFileBytes) return SHA256.HashData(file);

        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[1 << 20];
        BinaryPrimitives.WriteInt64LittleEndian(buffer, file.Length);
        hash.AppendData(buffer, 0, sizeof(long));
        Append(0, EdgeBytes);
        long middle = file.Length - (2L * EdgeBytes);
        for (int block = 0; block < BlockCount; block++) Append(EdgeBytes + ((middle - BlockBytes) / (BlockCount - 1) * block), BlockBytes);
        Append(file.Length - EdgeBytes, EdgeBytes);
        return hash.GetHashAndReset();

        void Append(long start, int length)
        {
            file.Position = start;
            while (length > 0)
            {
                int count = Math.Min(length, buffer.Length);
                file.ReadExactly(buffer, 0, count);
                hash.AppendData(buffer, 0, count);
                length -= count;
            }
        }
    }
}
