using Baton.Core.Ids;
using Baton.Router.Trouble;

namespace Baton.Router.Workers;

/// <summary>The workers of one router. Readers take an immutable snapshot; writers replace it.</summary>
public sealed class WorkerFleet(BreakerOptions? breaker = null)
{
    private readonly Lock _lock = new();
    private Snapshot _now = Snapshot.Empty;
    private int _created;

    /// <summary>The fleet at one moment, by role.</summary>
    public sealed record Snapshot(IReadOnlyList<Worker> All, IReadOnlyList<Worker> Prefill, IReadOnlyList<Worker> Decode, IReadOnlyList<Worker> Unified)
    {
        public static readonly Snapshot Empty = new([], [], [], []);

        public IReadOnlyList<Worker> Of(WorkerRole role) => role switch
        {
            WorkerRole.Prefill => Prefill,
            WorkerRole.Decode => Decode,
            _ => Unified,
        };
    }

    public Snapshot Now => Volatile.Read(ref _now);

    /// <summary>Adds a worker as <see cref="WorkerStatus.Pending"/>, or returns null when the URL is there already.</summary>
    public Worker? Add(WorkerSpec spec, WorkerSource source = WorkerSource.CommandLine)
    {
        lock (_lock)
        {
            if (_now.All.Any(w => w.Spec.Url == spec.Url)) return null;
            Worker worker = new($"w{++_created}", spec, breaker) { Source = source };
            Publish([.. _now.All, worker]);
            return worker;
        }
    }

    /// <summary>Puts a worker with another specification in the place of <paramref name="old"/>; in-flight requests keep the old one.</summary>
    public Worker Replace(Worker old, WorkerSpec spec)
    {
        lock (_lock)
        {
            Worker worker = new(old.Id, spec, breaker) { Source = old.Source };
            Publish([.. _now.All.Select(w => w == old ? worker : w)]);
            return worker;
        }
    }

    public bool Remove(Worker worker)
    {
        lock (_lock)
        {
            if (!_now.All.Contains(worker)) return false;
            Publish([.. _now.All.Where(w => w != worker)]);
            return true;
        }
    }

    /// <summary>By id, or by base URL.</summary>
    public Worker? Find(string idOrUrl) => Now.All.FirstOrDefault(w => w.Id == idOrUrl || w.Url == idOrUrl.TrimEnd('/'));

    private void Publish(Worker[] all) => Volatile.Write(ref _now, new Snapshot(
        all,
        [.. all.Where(w => w.Role == WorkerRole.Prefill)],
        [.. all.Where(w => w.Role == WorkerRole.Decode)],
        [.. all.Where(w => w.Role == WorkerRole.Unified)]));
}
