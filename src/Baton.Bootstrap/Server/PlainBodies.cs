using System.Buffers.Text;
using Baton.Bootstrap.Registry;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Server;

/// <summary>The two bodies that every SGLang client sends for every request, read and answered byte by byte: a third of the time of a JSON reader and writer.</summary>
/// <remarks>Takes only what is written plainly: these keys in this order, bare integers, any blanks. Everything else, all that is wrong included, is left to <see cref="RoomBodies"/>.</remarks>
internal static class PlainBodies
{
    /// <summary>Quotes, 19 digits of a room, colon, 10 digits of a rank, comma.</summary>
    public const int MaxKnownRoomBytes = 33;

    /// <summary><c>{"bootstrap_room": int, "dp_rank": int}</c></summary>
    public static bool TryReadRegistration(ReadOnlySpan<byte> body, out ulong room, out long rank)
    {
        (room, rank) = (0, 0);
        if (!Take(ref body, "{"u8) || !Take(ref body, "\"bootstrap_room\""u8) || !Take(ref body, ":"u8) || !TakeInteger(ref body, out room)) return false;
        if (!Take(ref body, ","u8) || !Take(ref body, "\"dp_rank\""u8) || !Take(ref body, ":"u8) || !TakeInteger(ref body, out ulong number)) return false;
        if (number > int.MaxValue) return false;
        rank = (long)number;
        return Take(ref body, "}"u8) && SkipBlanks(body).IsEmpty;
    }

    /// <summary><c>{"bootstrap_rooms": [int, ..]}</c>. When false, <paramref name="rooms"/> holds nonsense.</summary>
    public static bool TryReadRooms(ReadOnlySpan<byte> body, List<BootstrapRoom> rooms)
    {
        if (!Take(ref body, "{"u8) || !Take(ref body, "\"bootstrap_rooms\""u8) || !Take(ref body, ":"u8) || !Take(ref body, "["u8)) return false;
        if (!Take(ref body, "]"u8))
        {
            do
            {
                if (!TakeInteger(ref body, out ulong room)) return false;
                rooms.Add(new BootstrapRoom(room));
            }
            while (Take(ref body, ","u8));
            if (!Take(ref body, "]"u8)) return false;
        }
        return Take(ref body, "}"u8) && SkipBlanks(body).IsEmpty;
    }

    /// <summary>Writes room to rank; unknown and failed rooms are absent.</summary>
    /// <param name="output">At least 2 + <see cref="MaxKnownRoomBytes"/> a room.</param>
    /// <returns>Bytes written.</returns>
    public static int WriteKnownRooms(Span<byte> output, RoomTable table, List<BootstrapRoom> rooms, TimeSpan now, out int known)
    {
        known = 0;
        output[0] = (byte)'{';
        int at = 1;
        foreach (BootstrapRoom room in rooms)
        {
            if (table.Find(room, now).Rank is not { } rank) continue;
            if (known++ > 0) output[at++] = (byte)',';
            output[at++] = (byte)'"';
            Utf8Formatter.TryFormat(room.Value, output[at..], out int digits);
            at += digits;
            output[at++] = (byte)'"';
            output[at++] = (byte)':';
            Utf8Formatter.TryFormat(rank.Value, output[at..], out digits);
            at += digits;
        }
        output[at++] = (byte)'}';
        return at;
    }

    private static bool Take(ref ReadOnlySpan<byte> body, ReadOnlySpan<byte> token)
    {
        ReadOnlySpan<byte> rest = SkipBlanks(body);
        if (!rest.StartsWith(token)) return false;
        body = rest[token.Length..];
        return true;
    }

    /// <summary>Digits without sign, fraction, exponent or leading zero, up to 2^63-1. What follows them is the caller's to check.</summary>
    private static bool TakeInteger(ref ReadOnlySpan<byte> body, out ulong number)
    {
        number = 0;
        ReadOnlySpan<byte> rest = SkipBlanks(body);
        int digits = 0;
        // 19 digits fit into 64 bits without a sign.
        while (digits < rest.Length && digits < 20 && rest[digits] is >= (byte)'0' and <= (byte)'9')
        {
            number = (number * 10) + (ulong)(rest[digits] - '0');
            digits++;
        }
        if (digits is 0 or > 19 || number > long.MaxValue || (rest[0] == '0' && digits > 1)) return false;
        body = rest[digits..];
        return true;
    }

    private static ReadOnlySpan<byte> SkipBlanks(ReadOnlySpan<byte> body)
    {
        int at = 0;
        while (at < body.Length && body[at] is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r') at++;
        return body[at..];
    }
}
