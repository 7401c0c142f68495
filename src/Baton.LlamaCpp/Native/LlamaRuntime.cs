using Baton.Core.Engine;
using Microsoft.Extensions.Logging;

namespace Baton.LlamaCpp.Native;

/// <summary>Starts llama.cpp once a process: log, compute back ends, version and layout checks, in that order.</summary>
internal static unsafe class LlamaRuntime
{
    private static readonly Lock Gate = new();
    private static string? _version;

    private static string Supported => string.Join(" and ", LayoutCheck.SupportedVersions);

    /// <returns>The library's version.</returns>
    /// <exception cref="EngineException">No library, the wrong version, or layouts that do not fit it.</exception>
    internal static string Start(string? libraryDirectory, ILogger logger)
    {
        lock (Gate)
        {
            string directory = NativeLibraries.Use(libraryDirectory);
            if (_version is not null) return _version;

            // A failed assertion would otherwise fork a debugger for a backtrace, in a process that serves.
            if (!OperatingSystem.IsWindows()) NativeMethods.SetNativeEnvironment("GGML_NO_BACKTRACE", "1", overwrite: 1);
            string version = ReadVersion(directory);
            RefuseOtherLayouts(version, directory);
            NativeLog.Install();
            NativeLog.DrainTo(logger);
            fixed (byte* path = NativeText.ToCString(directory)) NativeMethods.LoadAllBackends(path);
            NativeMethods.BackendInit();
            if (NativeMethods.DeviceCount() == 0)
                throw new EngineException($"No ggml compute back end in {directory}. {NativeLog.TakeErrors()} Give a folder that also holds the ggml-cpu libraries.");
            logger.RuntimeStarted(version, directory, string.Join(", ", Devices()));
            return _version = version;
        }
    }

    private static string ReadVersion(string directory)
    {
        try
        {
            return NativeText.FromCString(NativeMethods.Version());
        }
        catch (EntryPointNotFoundException exception)
        {
            throw new EngineException($"The llama library in {directory} is too old to tell its version. Baton is written for llama.cpp {Supported}.", exception);
        }
        catch (DllNotFoundException exception)
        {
            throw new EngineException($"The llama library in {directory} does not load: {exception.Message}", exception);
        }
    }

    private static void RefuseOtherLayouts(string version, string directory)
    {
        if (!LayoutCheck.SupportedVersions.Contains(version))
            throw new EngineException(
                $"The llama library in {directory} is version {version}; Baton's bindings are written for {Supported}. "
                + "Struct layouts differ between versions, so it is not used. Restore native/package.json, or point --llama-library at the right version.");
        List<string> differences = LayoutCheck.FindDifferences(NativeMethods.ModelDefaultParams(), NativeMethods.ContextDefaultParams());
        if (differences.Count > 0)
            throw new EngineException(
                $"The llama library in {directory} says {version}, as expected, but its structs differ from Baton's layouts: "
                + $"{string.Join("; ", differences)}. It is not used.");
    }

    private static List<string> Devices()
    {
        List<string> devices = [];
        for (nuint index = 0; index < NativeMethods.DeviceCount(); index++)
        {
            nint device = NativeMethods.Device(index);
            devices.Add($"{NativeText.FromCString(NativeMethods.DeviceName(device))} ({NativeText.FromCString(NativeMethods.DeviceDescription(device))})");
        }
        return devices;
    }
}
