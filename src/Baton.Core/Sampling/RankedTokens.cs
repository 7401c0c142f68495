namespace Baton.Core.Sampling;

/// <summary>Tokens in order of a value, the larger first and the lower id first on a tie, as 64-bit keys that sort by themselves.</summary>
internal static class RankedTokens
{
    internal static ulong Key(float value, int token)
    {
        // Flipped so, the bits of floats compare like the floats do.
        uint bits = BitConverter.SingleToUInt32Bits(value);
        bits = (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
        return ((ulong)~bits << 32) | (uint)token;
    }

    internal static int Token(ulong key) => (int)(uint)key;

    /// <summary>Brings the <paramref name="count"/> best keys to the front, sorted.</summary>
    internal static Span<ulong> TakeBest(Span<ulong> keys, int count)
    {
        if (count < keys.Length) Partition(keys, count);
        Span<ulong> best = keys[..Math.Min(count, keys.Length)];
        best.Sort();
        return best;
    }

    /// <summary>Quickselect: afterwards no key of the first <paramref name="count"/> is larger than one behind them.</summary>
    private static void Partition(Span<ulong> keys, int count)
    {
        int low = 0, high = keys.Length - 1;
        while (low < high)
        {
            ulong pivot = keys[low + ((high - low) / 2)];
            int left = low, right = high;
            while (left <= right)
            {
                while (keys[left] < pivot) left++;
                while (keys[right] > pivot) right--;
                if (left > right) break;
                (keys[left], keys[right]) = (keys[right], keys[left]);
                left++;
                right--;
            }
            if (count - 1 <= right) high = right;
            else if (count - 1 >= left) low = left;
            else return;
        }
    }
}
