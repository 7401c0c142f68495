using System.Text;

namespace Baton.LlamaCpp.Native;

/// <summary>C strings.</summary>
internal static unsafe class NativeText
{
    /// <summary>UTF-8 with the terminating zero. A zero inside would cut the text on the native side: callers refuse it first.</summary>
    internal static byte[] ToCString(string text)
    {
        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }

    internal static string FromCString(byte* text) => text is null
        ? ""
        : Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}
