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

/// <summary>Something native that points into a model: it keeps the weights and the vocabulary mapped until it is freed.</summary>
internal abstract class ModelPartHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private ModelHandle? _model;

    internal void Hold(ModelHandle model)
    {
        bool added = false;
        model.DangerousAddRef(ref added);
        _model = model;
    }

    protected abstract void Free();

    protected sealed override bool ReleaseHandle()
    {
        Free();
        _model?.DangerousRelease();
        return true;
    }
}

/// <summary>One context: one thread at a time, its owner's.</summary>
internal sealed class ContextHandle : ModelPartHandle
{
    protected override void Free() => NativeMethods.Free(handle);
}

internal sealed class SamplerHandle : ModelPartHandle
{
    protected override void Free() => NativeMethods.SamplerFree(handle);
}
