namespace Baton.Router.Workers;

/// <summary>Where a worker stands. Only <see cref="Ready"/> ones are given requests.</summary>
public enum WorkerStatus
{
    /// <summary>Registered, and has not answered a health check yet.</summary>
    Pending,
    Ready,
    /// <summary>Was ready; its health check fails.</summary>
    NotReady,
    /// <summary>Takes nothing new and finishes what it has.</summary>
    Draining,
    /// <summary>Never became ready within the start-up time.</summary>
    Failed,
}
