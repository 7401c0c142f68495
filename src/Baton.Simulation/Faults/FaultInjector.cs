using Baton.Core.Failures;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Simulation.Cluster;
using Baton.Simulation.Network;

namespace Baton.Simulation.Faults;

/// <summary>Does the faults of a script to a cluster, each at its time, and takes them back.</summary>
/// <param name="seed">Decides which frames a link fault hits.</param>
public sealed class FaultInjector(SimulatedCluster cluster, ulong seed)
{
    /// <summary>Sets the clock for all of them. Times count from now.</summary>
    public void Schedule(IReadOnlyList<Fault> faults)
    {
        TimeSpan start = cluster.Loop.Now;
        for (int i = 0; i < faults.Count; i++)
        {
            Fault fault = faults[i];
            SeededRandom random = new(seed ^ SeededRandom.Mix((ulong)i + 1));
            cluster.Loop.At(start + fault.Begins, () =>
            {
                cluster.Trace.Add(cluster.Loop.Now, $"fault: {fault}");
                Do(fault, random, start);
            });
        }
    }

    private void Do(Fault fault, SeededRandom random, TimeSpan start)
    {
        switch (fault)
        {
            case Fault.Kill { Worker: { Role: WorkerRole.Prefill } worker }:
                cluster.KillPrefill(worker.Index);
                break;
            case Fault.Kill kill:
                cluster.KillDecode(kill.Worker.Index);
                break;
            case Fault.Restart { Worker: { Role: WorkerRole.Prefill } worker }:
                cluster.RestartPrefill(worker.Index);
                break;
            case Fault.Restart restart:
                cluster.RestartDecode(restart.Worker.Index);
                break;
            case Fault.DropBootstrap drop:
                foreach (int server in drop.Server is { } one ? [one] : Enumerable.Range(0, cluster.Prefills.Count))
                {
                    cluster.Hosts.SetDown($"bootstrap {server}", isDown: true);
                    Undo(drop, drop.Span, start, () => cluster.Hosts.SetDown($"bootstrap {server}", isDown: false));
                }
                break;
            case Fault.Partition cut:
                (string prefill, string decode) = ($"{FaultWorker.Prefill(cut.Prefill)}", $"{FaultWorker.Decode(cut.Decode)}");
                cluster.Hosts.SetCut(prefill, decode, isCut: true);
                Undo(cut, cut.Span, start, () => cluster.Hosts.SetCut(prefill, decode, isCut: false));
                break;
            case Fault.Slow slow:
                cluster.SlowDown(slow.Worker, slow.Factor);
                Undo(slow, slow.Span, start, () => cluster.EndSlowDown(slow.Worker, slow.Factor));
                break;
            case Fault.Link link:
                ActiveTrouble trouble = new(link, random);
                cluster.Links.Troubles.Add(trouble);
                Undo(link, link.Span, start, () => cluster.Links.Troubles.Remove(trouble));
                break;
            case Fault.BreakLink broken:
                BreakLinks(broken);
                break;
            case Fault.Abort abort:
                cluster.HangUp(abort.Request);
                break;
        }
    }

    private void Undo(Fault fault, FaultSpan span, TimeSpan start, Action undo)
    {
        if (span.To is not { } to) return;
        cluster.Loop.At(start + to, () =>
        {
            cluster.Trace.Add(cluster.Loop.Now, $"healed: {fault}");
            undo();
        });
    }

    private void BreakLinks(Fault.BreakLink broken)
    {
        string decode = $"{FaultWorker.Decode(broken.Decode)}", prefill = $"{FaultWorker.Prefill(broken.Prefill)}";
        foreach (VirtualKvPair pair in cluster.Links.Pairs.Where(pair => pair.DecodeHost == decode && pair.PrefillHost == prefill).ToArray())
            pair.Reset(RequestFailure.Of(FailureReason.LinkLost, $"The connection between {prefill} and {decode} was reset."));
    }
}
