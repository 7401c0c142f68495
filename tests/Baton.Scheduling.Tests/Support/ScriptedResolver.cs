using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Requests;
using Baton.Core.Resolution;

namespace Baton.Scheduling.Tests.Support;

/// <summary>A resolver that answers when the test says so, or at once with rank <see cref="AnswerAtOnce"/>.</summary>
internal sealed class ScriptedResolver : IRankResolver
{
    private readonly Dictionary<BootstrapRoom, IRankResolutionSink> _waiting = [];

    public int? AnswerAtOnce { get; init; }
    public List<BootstrapRoom> Begun { get; } = [];
    public List<BootstrapRoom> Cancelled { get; } = [];
    public List<(BootstrapRoom Room, DpRank Rank)> Redirected { get; } = [];
    public int WaitingCount => _waiting.Count;

    public void Begin(BootstrapInfo bootstrap, IRankResolutionSink answer)
    {
        Begun.Add(bootstrap.Room);
        _waiting.Add(bootstrap.Room, answer);
        if (AnswerAtOnce is { } rank) Answer(bootstrap.Room.Value, rank);
    }

    public void Cancel(BootstrapRoom room)
    {
        Cancelled.Add(room);
        _waiting.Remove(room);
    }

    public void BeginRedirect(BootstrapInfo bootstrap, DpRank rightRank, IRankResolutionSink answer)
    {
        Redirected.Add((bootstrap.Room, rightRank));
        _waiting.Add(bootstrap.Room, answer);
    }

    public void Answer(ulong room, int rank)
    {
        _waiting.Remove(new BootstrapRoom(room), out IRankResolutionSink? answer);
        answer!.OnResolved(new BootstrapRoom(room), new ResolvedRank(new KvEndpoint("127.0.0.1", 9000 + rank, new DpRank(rank)), RankSource.Query, 1));
    }

    public void Refuse(ulong room, FailureReason reason)
    {
        _waiting.Remove(new BootstrapRoom(room), out IRankResolutionSink? answer);
        answer!.OnResolveFailed(new BootstrapRoom(room), RequestFailure.Of(reason, "The resolver gave up."));
    }
}
