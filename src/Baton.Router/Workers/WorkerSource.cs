namespace Baton.Router.Workers;

/// <summary>How the router came to know a worker.</summary>
public enum WorkerSource
{
    CommandLine,
    /// <summary><c>--workers-file</c>: the worker leaves when it is no longer in it.</summary>
    File,
    /// <summary>The control plane.</summary>
    Api,
    /// <summary>The worker itself: it leaves when it no longer renews its lease.</summary>
    Lease,
    /// <summary>A pod: its workers leave when it is deleted or no longer ready.</summary>
    Kubernetes,
}

public static class WorkerSources
{
    extension(WorkerSource source)
    {
        /// <summary>A tag's value.</summary>
        public string Name => source switch { WorkerSource.File => "file", WorkerSource.Api => "api", WorkerSource.Lease => "lease", WorkerSource.Kubernetes => "kubernetes", _ => "cli" };
    }
}
