using System.Buffers;
using System.Text;

namespace Baton.Router.KvEvents;

/// <summary>How a ZMTP 3.0 connection begins with the NULL mechanism: a greeting of 64 bytes, then READY, each way.</summary>
internal static class ZmtpHandshake
{
    public const int GreetingBytes = 64;
    private const int SignatureEnd = 9, VersionAt = 10, MechanismAt = 12, MechanismBytes = 20;

    /// <summary>Ours: version 3.0, because 3.1 would oblige us to more and gives a subscriber nothing.</summary>
    public static byte[] Greeting()
    {
        byte[] greeting = new byte[GreetingBytes];
        (greeting[0], greeting[SignatureEnd], greeting[VersionAt]) = (0xFF, 0x7F, 3);
        "NULL"u8.CopyTo(greeting.AsSpan(MechanismAt));
        return greeting;
    }

    /// <exception cref="KvEventException">No ZMTP 3, or a mechanism with keys.</exception>
    public static void CheckGreeting(ReadOnlySpan<byte> greeting)
    {
        if (greeting[0] != 0xFF || greeting[SignatureEnd] != 0x7F) throw new KvEventException("What listens there does not speak ZeroMQ.");
        if (greeting[VersionAt] < 3) throw new KvEventException($"It speaks ZMTP {greeting[VersionAt]}, and 3 is needed: ZeroMQ 4.0 or later.");
        ReadOnlySpan<byte> mechanism = greeting.Slice(MechanismAt, MechanismBytes).TrimEnd((byte)0);
        if (!mechanism.SequenceEqual("NULL"u8)) throw new KvEventException($"Its security mechanism is '{Printable(mechanism)}', and only NULL is spoken here.");
    }

    /// <summary>The READY command of a subscriber.</summary>
    public static byte[] Ready() => ZmtpFrame.Write(isCommand: true, [5, .. "READY"u8, 11, .. "Socket-Type"u8, 0, 0, 0, 3, .. "SUB"u8]);

    /// <summary>Asks for every message that begins with <paramref name="topic"/>.</summary>
    public static byte[] Subscribe(string topic) => ZmtpFrame.Write(isCommand: false, [1, .. Encoding.UTF8.GetBytes(topic)]);

    /// <exception cref="KvEventException">Not READY, or not of a publisher.</exception>
    public static void CheckReady(in ZmtpFrame frame)
    {
        byte[] body = frame.Body.ToArray();
        ReadOnlySpan<byte> rest = body;
        if (!frame.IsCommand) throw new KvEventException("It began with a message, not with READY.");
        if (rest.StartsWith((ReadOnlySpan<byte>)[5, .. "ERROR"u8])) throw new KvEventException($"It refused: '{Printable(rest[6..])}'.");
        if (!rest.StartsWith((ReadOnlySpan<byte>)[5, .. "READY"u8])) throw new KvEventException("Its first command is not READY.");
        rest = rest[6..];
        while (!rest.IsEmpty)
        {
            int nameBytes = rest[0];
            if (rest.Length < 1 + nameBytes + 4) throw new KvEventException("Its READY ends in the middle of a property.");
            ReadOnlySpan<byte> name = rest.Slice(1, nameBytes);
            rest = rest[(1 + nameBytes)..];
            uint valueBytes = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(rest);
            if (valueBytes > rest.Length - 4) throw new KvEventException("Its READY ends in the middle of a property.");
            ReadOnlySpan<byte> value = rest.Slice(4, (int)valueBytes);
            rest = rest[(4 + (int)valueBytes)..];
            // Names of properties are compared without case.
            if (!Ascii.EqualsIgnoreCase(name, "Socket-Type"u8)) continue;
            if (value.SequenceEqual("PUB"u8) || value.SequenceEqual("XPUB"u8)) return;
            throw new KvEventException($"Its socket is of type '{Printable(value)}', not PUB.");
        }
        throw new KvEventException("Its READY names no socket type.");
    }

    // What a peer says goes into a log line.
    private static string Printable(ReadOnlySpan<byte> text)
    {
        char[] shown = new char[Math.Min(text.Length, 40)];
        for (int i = 0; i < shown.Length; i++) shown[i] = text[i] is >= 0x20 and < 0x7F ? (char)text[i] : '?';
        return new string(shown);
    }
}
