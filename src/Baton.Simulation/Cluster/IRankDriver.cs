namespace Baton.Simulation.Cluster;

/// <summary>Turns the cranks of ranks in virtual time.</summary>
public interface IRankDriver
{
    /// <summary>There may be something to do at this instant.</summary>
    void Wake();

    /// <summary>Time in which its ranks were computing, summed over the ranks.</summary>
    TimeSpan Busy { get; }

    /// <summary>A step is under way: until its end nobody looks at deadlines.</summary>
    bool IsBusy { get; }

    /// <summary>The process is gone: nothing turns any more.</summary>
    void Kill();
}
