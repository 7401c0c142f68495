using Baton.Simulation.Workloads;

namespace Baton.Simulation.Cluster;

/// <summary>Sends the requests of a workload at their times: at once when nothing holds them back, else behind what they wait for.</summary>
/// <remarks>
/// A closed loop keeps <see cref="Workload.Concurrency"/> requests under way: the end of one sends the next in the list. A turn of a
/// conversation waits for the end of the turn before it: nobody asks further before the answer is there. A request that failed counts as ended.
/// </remarks>
internal sealed class Arrivals
{
    private readonly SimulatedCluster _cluster;
    private readonly Workload _workload;
    private readonly TimeSpan _start;
    private readonly Dictionary<int, WorkloadRequest> _nextTurn = [];
    private int _sent;

    public Arrivals(SimulatedCluster cluster, Workload workload)
    {
        (_cluster, _workload, _start) = (cluster, workload, cluster.Loop.Now);
        Dictionary<int, WorkloadRequest> last = [];
        foreach (WorkloadRequest request in workload.Requests)
        {
            if (request.Conversation < 0) continue;
            if (last.TryGetValue(request.Conversation, out WorkloadRequest? before)) _nextTurn[before.Index] = request;
            last[request.Conversation] = request;
        }
    }

    public void Schedule()
    {
        if (_workload.Concurrency > 0)
        {
            _cluster.Ended += _ => SendNext();
            for (int i = 0; i < _workload.Concurrency; i++) SendNext();
            return;
        }
        if (_nextTurn.Count > 0) _cluster.Ended += SendNextTurn;
        HashSet<int> waiting = [.. _nextTurn.Values.Select(turn => turn.Index)];
        WorkloadRequest[] free = [.. _workload.Requests.Where(request => !waiting.Contains(request.Index))];
        _cluster.Loop.AtEach(free.Length, i => _start + free[i].ArrivesAt, i => _cluster.Submit(free[i]));
    }

    private void SendNext()
    {
        if (_sent < _workload.Requests.Count) SendAt(_workload.Requests[_sent++]);
    }

    private void SendNextTurn(RequestRecord ended)
    {
        if (_nextTurn.Remove(ended.Index, out WorkloadRequest? turn)) SendAt(turn);
    }

    // A time that has passed is now.
    private void SendAt(WorkloadRequest request) => _cluster.Loop.At(_start + request.ArrivesAt, () => _cluster.Submit(request));
}
