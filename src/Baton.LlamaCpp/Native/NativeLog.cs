using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Baton.LlamaCpp.Native;

/// <summary>llama.cpp's log. The callback may run on any native thread, so it only copies the text into a bounded channel.</summary>
internal static class NativeLog
{
    private const int Debug = 1, Warning = 3, Error = 4, Continuation = 5;

    // A model prints a few hundred lines while it loads. When nobody reads fast enough, the oldest lines go.
    private static readonly Channel<(int Level, string Text)> Lines = Channel.CreateBounded<(int, string)>(
        new BoundedChannelOptions(1024) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private static readonly Lock Gate = new();
    private static readonly Queue<string> RecentErrors = new();

    internal static unsafe void Install() => NativeMethods.LogSet(&OnLine, null);

    /// <summary>Sends lines to <paramref name="logger"/> until the process ends. Called once.</summary>
    internal static void DrainTo(ILogger logger) => _ = Task.Run(async () =>
    {
        StringBuilder line = new();
        int level = Debug;
        await foreach ((int next, string text) in Lines.Reader.ReadAllAsync())
        {
            if (next != Continuation) level = next;
            line.Append(text);
            if (!text.EndsWith('\n')) continue;
            Write(logger, level, line.ToString().TrimEnd());
            line.Clear();
        }
    });

    /// <summary>The last error lines of the library, oldest first, and forgets them: they explain a NULL.</summary>
    internal static string TakeErrors()
    {
        lock (Gate)
        {
            string text = string.Join(' ', RecentErrors);
            RecentErrors.Clear();
            return text;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static unsafe void OnLine(int level, byte* text, void* userData)
    {
        // Nothing managed may leave this frame: an exception would end the process.
        try
        {
            string line = NativeText.FromCString(text);
            Lines.Writer.TryWrite((level, line));
            if (level != Error) return;
            lock (Gate)
            {
                if (RecentErrors.Count == 8) RecentErrors.Dequeue();
                RecentErrors.Enqueue(line.Trim());
            }
        }
        catch (OutOfMemoryException)
        {
            // A lost log line is all that can be done about it here.
        }
    }

    /// <summary>One cache for many sequences has more cells than the model's context; each sequence is held to the context by the engine.</summary>
    private static bool IsOurChoice(string line) => line.Contains("n_ctx_seq (", StringComparison.Ordinal) && line.Contains("> n_ctx_train (", StringComparison.Ordinal);

    private static void Write(ILogger logger, int level, string line)
    {
        if (line.Length == 0) return;
        switch (IsOurChoice(line) ? Debug : level)
        {
            case Error: logger.NativeError(line); break;
            case Warning: logger.NativeWarning(line); break;
            default: logger.NativeLine(line); break;
        }
    }
}
