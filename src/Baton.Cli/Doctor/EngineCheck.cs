using Baton.Core.Engine;
using Baton.LlamaCpp.Model;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Cli.Doctor;

/// <summary>Loads llama.cpp and the model for real, on the CPU and without a context: what fails here would fail in every worker.</summary>
internal static class EngineCheck
{
    /// <param name="modelPath">An existing GGUF file.</param>
    /// <param name="libraryDirectory">As <c>--llama-library</c>; null: where the build put it.</param>
    public static DoctorCheck Run(string modelPath, string? libraryDirectory)
    {
        LlamaModelOptions options = new() { ModelPath = modelPath, LibraryDirectory = libraryDirectory, GpuLayers = 0 };
        try
        {
            using LlamaModel model = LlamaModel.Load(options, NullLogger.Instance);
            LlamaModelInfo info = model.Info;
            return new("llama.cpp", Verdict.Good,
                $"{info.LibraryVersion} loads {info.Name}: {info.Description}, {info.ParameterCount / 1e6:0.0} M parameters, context of {info.TrainedContextTokens} tokens");
        }
        catch (EngineException refused)
        {
            return new("llama.cpp", Verdict.Bad, refused.Message, "Without it a worker serves only --engine simulated.");
        }
    }
}
