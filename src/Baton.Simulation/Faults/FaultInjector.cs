using Baton.Core.Randomness;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Network;
using Baton.Transfer.Wire;

namespace Baton.Simulation.Faults;

/// <summary>Does one fault to a cluster and takes it back.</summary>
internal sealed class FaultInjector(EventLoop loop, SimulatedCluster cluster, Fault fault, ulong seed)
{
    private readonly SeededRandom _random = new(seed ^ SeededRandom.Mix((ulong)fault.At.Ticks));

    public void Schedule()
    {
        loop.At(fault.At, Begin);
        loop.At(fault.Until, End);
    }

    private string Prefill => $"prefill {fault.First}";

    private string Decode => $"decode {fault.Second}";

    private void Begin()
    {
        switch (fault.Kind)
        {
            case FaultKind.KillPrefill:
                cluster.KillPrefill(fault.First);
                break;
            case FaultKind.KillDecode:
                cluster.KillDecode(fault.First);
                break;
            case FaultKind.Partition:
                cluster.Hosts.SetCut(Prefill, Decode, isCut: true);
                break;
            case FaultKind.DropBootstrap:
                cluster.Hosts.SetDown($"bootstrap {fault.First}", isDown: true);
                break;
            case FaultKind.SlowPrefill:
                cluster.Prefills[fault.First].SlowDown = fault.Factor;
                break;
            case FaultKind.SlowDecode:
                cluster.Decodes[fault.First].SlowDown = fault.Factor;
                break;
            case FaultKind.Abort:
                cluster.HangUp(fault.First);
                break;
            default:
                TamperWithLinks();
                break;
        }
    }

    private void End()
    {
        switch (fault.Kind)
        {
            case FaultKind.KillPrefill:
                cluster.RestartPrefill(fault.First);
                break;
            case FaultKind.KillDecode:
                cluster.RestartDecode(fault.First);
                break;
            case FaultKind.Partition:
                cluster.Hosts.SetCut(Prefill, Decode, isCut: false);
                break;
            case FaultKind.DropBootstrap:
                cluster.Hosts.SetDown($"bootstrap {fault.First}", isDown: false);
                break;
            case FaultKind.SlowPrefill:
                cluster.Prefills[fault.First].SlowDown = 1;
                break;
            case FaultKind.SlowDecode:
                cluster.Decodes[fault.First].SlowDown = 1;
                break;
        }
    }

    private void TamperWithLinks()
    {
        foreach (VirtualKvPair pair in cluster.Links.Pairs)
        {
            if (pair.PrefillHost != Prefill || pair.DecodeHost != Decode) continue;
            KvFrame? held = null;
            pair.Tamper = frame =>
            {
                if (loop.Now >= fault.Until || !_random.NextBool(0.1))
                {
                    if (held is not { } late) return [frame];
                    held = null;
                    return [frame, late];
                }
                // A frame with a payload cannot be doubled: its memory has one owner.
                if (fault.Kind == FaultKind.DuplicateFrames) return frame.Payload is null ? [frame, frame] : [frame];
                if (fault.Kind == FaultKind.ReorderFrames && held is null)
                {
                    held = frame;
                    return [];
                }
                if (fault.Kind != FaultKind.DropFrames) return [frame];
                frame.Payload?.Dispose();
                return [];
            };
        }
    }
}
