using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Baton.Core.Engine;

namespace Baton.LlamaCpp.Native;

/// <summary>Finds the llama.cpp libraries and maps the names of <see cref="NativeMethods"/> to their files.</summary>
/// <remarks>
/// The file names carry a version and are the sonames, so nothing is renamed: a folder is searched for names that fit. Siblings
/// find each other through their own run path.
/// </remarks>
internal static partial class NativeLibraries
{
    internal const string EnvironmentVariable = "BATON_LLAMA_LIBRARY";

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, nint> Loaded = [];
    private static string? _directory;

    /// <summary>The folder in use; null before <see cref="Use"/>.</summary>
    internal static string? Directory => _directory;

    /// <summary>Fixes the folder for the life of this process.</summary>
    /// <exception cref="EngineException">Another folder is in use already, or nothing was found.</exception>
    internal static string Use(string? configured)
    {
        lock (Gate)
        {
            string found = Find(configured);
            if (_directory is not null && _directory != found)
                throw new EngineException($"llama.cpp is loaded from {_directory} in this process and cannot also be loaded from {found}. Use one folder a process.");
            return _directory = found;
        }
    }

    /// <summary>Option, environment variable, runtimes/RID/native beside the program, the program's folder, the checkout's restored packages.</summary>
    internal static string Find(string? configured)
    {
        if (!string.IsNullOrEmpty(configured)) return Require(configured, "--llama-library");
        if (Environment.GetEnvironmentVariable(EnvironmentVariable) is { Length: > 0 } fromEnvironment) return Require(fromEnvironment, EnvironmentVariable);

        List<string> searched = [.. Candidates()];
        return searched.FirstOrDefault(HasLibraries) ?? throw new EngineException(
            $"No llama.cpp library for {RuntimeInformation.RuntimeIdentifier}. Searched: {string.Join(", ", searched)}. "
            + $"Build Baton with Node.js 20 or newer installed (the build restores native/package.json), or point --llama-library or {EnvironmentVariable} at a folder that has it.");
    }

    private static string Require(string directory, string source)
    {
        string full = Path.GetFullPath(directory);
        if (HasLibraries(full)) return full;
        // The npm package keeps its libraries two folders down; pointing at the package is what people do.
        return BinFolders(full).FirstOrDefault(HasLibraries) ?? throw new EngineException(
            $"{source} names {full}, but there is no llama library in it. Give the folder that holds {ExampleFile}.");
    }

    private static IEnumerable<string> Candidates()
    {
        string application = AppContext.BaseDirectory;
        foreach (string rid in new[] { RuntimeInformation.RuntimeIdentifier, PortableRid })
            yield return Path.Combine(application, "runtimes", rid, "native");
        yield return application;

        string? restored = typeof(NativeLibraries).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .FirstOrDefault(attribute => attribute.Key == "BatonNativePackages")?.Value;
        if (restored is null) yield break;
        foreach (string package in PackageNames())
            yield return Path.Combine(restored, "@node-llama-cpp", package, "bins", package);
    }

    private static IEnumerable<string> BinFolders(string package)
    {
        string bins = Path.Combine(package, "bins");
        return System.IO.Directory.Exists(bins) ? System.IO.Directory.GetDirectories(bins).Order(StringComparer.Ordinal) : [];
    }

    private static string[] PackageNames() => RuntimeInformation.OSArchitecture switch
    {
        Architecture.X64 when OperatingSystem.IsLinux() => ["linux-x64"],
        Architecture.Arm64 when OperatingSystem.IsLinux() => ["linux-arm64"],
        Architecture.Arm64 when OperatingSystem.IsMacOS() => ["mac-arm64-metal"],
        Architecture.X64 when OperatingSystem.IsMacOS() => ["mac-x64"],
        Architecture.X64 when OperatingSystem.IsWindows() => ["win-x64"],
        _ => [],
    };

    private static string PortableRid
    {
        get
        {
            string system = OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : "linux";
            return $"{system}-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}";
        }
    }

    private static string ExampleFile => OperatingSystem.IsWindows() ? "llama.dll" : OperatingSystem.IsMacOS() ? "libllama.dylib" : "libllama.so";

    private static bool HasLibraries(string directory) => FindFile(directory, NativeMethods.Llama) is not null;

    private static string? FindFile(string directory, string logicalName)
    {
        if (!System.IO.Directory.Exists(directory)) return null;
        Regex wanted = logicalName switch
        {
            NativeMethods.Llama => LlamaFile(),
            NativeMethods.Ggml => GgmlFile(),
            _ => GgmlBaseFile(),
        };
        return System.IO.Directory.GetFiles(directory).Where(file => wanted.IsMatch(Path.GetFileName(file))).Order(StringComparer.Ordinal).FirstOrDefault();
    }

    // libllama.so, libllama.so.0, libllama.v0.5.0.so, libllama.metal.v0.4.0.dylib, llama.v0.4.0.dll; not libllama-common.so.
    [GeneratedRegex(@"^(lib)?llama(\.[a-z]+)?(\.v[0-9.]+)?\.(so(\.[0-9.]+)?|dylib|dll)$")]
    private static partial Regex LlamaFile();

    [GeneratedRegex(@"^(lib)?ggml(\.[a-z]+)?(\.v[0-9.]+)?\.(so(\.[0-9.]+)?|dylib|dll)$")]
    private static partial Regex GgmlFile();

    [GeneratedRegex(@"^(lib)?ggml-base(\.[a-z]+)?(\.v[0-9.]+)?\.(so(\.[0-9.]+)?|dylib|dll)$")]
    private static partial Regex GgmlBaseFile();

    // A library cannot import natives before the resolver stands, and no caller should have to remember it.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Register() => NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name is not (NativeMethods.Llama or NativeMethods.Ggml or NativeMethods.GgmlBase)) return 0;
        lock (Gate)
        {
            if (Loaded.TryGetValue(name, out nint handle)) return handle;
            _directory ??= Find(null);
            string file = FindFile(_directory, name) ?? throw new EngineException($"{_directory} has a llama library but no {name} library beside it.");
            return Loaded[name] = NativeLibrary.Load(file);
        }
    }
}
