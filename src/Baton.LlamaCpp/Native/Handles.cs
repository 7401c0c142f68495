using Microsoft.Win32.SafeHandles;

namespace Baton.LlamaCpp.Native;

/// <summary>A loaded model. Contexts hold a reference, so it outlives them whatever is disposed first.</summary>
internal sealed class ModelHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        NativeMethods.ModelFree(handle);
        return true;
    }
}

/// <summary>One context: one thread at a time, its owner's.</summary>
internal sealed class ContextHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private ModelHandle? _model;

    /// <summary>Keeps the weights mapped until this context is freed.</summary>
    internal void Hold(ModelHandle model)
    {
        bool added = false;
        model.DangerousAddRef(ref added);
        _model = model;
    }

    protected override bool ReleaseHandle()
    {
        NativeMethods.Free(handle);
        _model?.DangerousRelease();
        return true;
    }
}

internal sealed class SamplerHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        NativeMethods.SamplerFree(handle);
        return true;
    }
}
