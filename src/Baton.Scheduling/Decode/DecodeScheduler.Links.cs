using Baton.Core.Engine;
using Baton.Core.Failures;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Core.Kv;
using Baton.Core.Requests;

namespace Baton.Scheduling.Decode;

/// <summary>What prefill ranks say, and what is made of it until a sequence is this rank's own.</summary>
public partial class DecodeScheduler
{
    private void HearLinks(TimeSpan now)
    {
        _events.Clear();
        _receiver.Poll(now, _events);
        foreach (KvReceiverEvent happened in _events)
        {
            if (!_rooms.TryGetValue(happened.Room, out DecodeSequence? sequence) || sequence.Stage != DecodeStage.Transferring)
            {
                happened.Payload?.Dispose();
                continue;
            }
            switch (happened.Kind)
            {
                case KvReceiverEventKind.Chunk:
                    AcceptChunk(sequence, happened.Range, happened.Payload!, now);
                    break;
                case KvReceiverEventKind.Last:
                    AcceptLast(sequence, happened.First!, now);
                    break;
                case KvReceiverEventKind.WrongRank:
                    Redirect(sequence, happened.RightRank, now);
                    break;
                default:
                    End(sequence, FinishKind.Abort, happened.Failure!, now); // the room is forgotten: there is nobody to tell
                    break;
            }
        }
        TakeOverComplete(now);
    }

    /// <summary>Last frames whose chunks are all cells already. After all events: behind a last frame the same poll may say that the link broke.</summary>
    private void TakeOverComplete(TimeSpan now)
    {
        foreach (DecodeSequence sequence in _complete)
        {
            if (!sequence.HasEnded && IsHandedOver(sequence)) TakeOver(sequence, now);
        }
        _complete.Clear();
    }

    private void AcceptChunk(DecodeSequence sequence, KvRange range, KvBuffer payload, TimeSpan now)
    {
        int arrived = sequence.ArrivedTokens;
        if (payload.Length == _engine.Kv.PayloadBytes(range.TokenCount) && sequence.First is null && sequence.TryArrive(range))
        {
            sequence.HandoverBytes += payload.Length;
            _arrived.Add(sequence, range, payload);
            return;
        }
        int length = payload.Length;
        payload.Dispose();
        Fail(sequence, RequestFailure.Of(FailureReason.TransferCorrupt,
            $"{sequence.Room}: prefill rank {sequence.Prefill!.Endpoint.Rank} sent {length} bytes for positions {range} "
            + $"when {arrived} of {sequence.PromptLength} had arrived{(sequence.First is null ? "" : " and the last frame too")}."), now);
    }

    private void AcceptLast(DecodeSequence sequence, FirstToken first, TimeSpan now)
    {
        if (sequence.First is null && sequence.ArrivedTokens == sequence.PromptLength)
        {
            (sequence.First, sequence.LastFrameAt) = (first, now);
            _complete.Add(sequence);
            return;
        }
        Fail(sequence, RequestFailure.Of(FailureReason.TransferCorrupt,
            $"{sequence.Room}: prefill rank {sequence.Prefill!.Endpoint.Rank} sent its last frame after {sequence.ArrivedTokens} of {sequence.PromptLength} positions."), now);
    }

    /// <summary>The claim asked the wrong rank. Once that costs a round trip; twice the two sides disagree for good.</summary>
    private void Redirect(DecodeSequence sequence, DpRank rightRank, TimeSpan now)
    {
        DpRank asked = sequence.Prefill!.Endpoint.Rank;
        if (!sequence.WasRedirected && sequence.ArrivedTokens == 0)
        {
            (sequence.WasRedirected, sequence.Stage) = (true, DecodeStage.Redirecting);
            _resolver.BeginRedirect(sequence.Bootstrap!, rightRank, _inbox);
            return;
        }
        End(sequence, FinishKind.Abort, RequestFailure.Of(FailureReason.UnknownRoom,
            $"{sequence.Room}: prefill rank {asked} says that rank {rightRank} holds it, "
            + (sequence.ArrivedTokens == 0 ? "after another rank had sent us here." : $"after it sent {sequence.ArrivedTokens} positions of it.")), now);
    }

    private void CommitImports(StepPlan plan, TimeSpan now)
    {
        foreach (KvImport import in plan.Imports)
        {
            if (_slots.Owner(import.Sequence) is not { } sequence) continue;
            sequence.ComputedTokens = import.Range.End;
            _book.ReportProgress(sequence);
            if (IsHandedOver(sequence)) TakeOver(sequence, now);
        }
    }

    /// <summary>All positions are cells and the first token is known.</summary>
    internal virtual bool IsHandedOver(DecodeSequence sequence) => sequence.IsComputed && sequence.First is not null;

    /// <summary>From here on the sequence is ours alone.</summary>
    private void TakeOver(DecodeSequence sequence, TimeSpan now)
    {
        FirstToken first = sequence.First!;
        _receiver.Acknowledge(sequence.Room);
        _transfer.Remove(sequence);
        sequence.Stage = DecodeStage.Running;
        // Both legs may have been given different seeds: prefill drew first, so its seed goes on.
        if (sequence.Sampling.Seed != first.Seed) sequence.Sampling = sequence.Sampling with { Seed = first.Seed };
        _batch.Join(sequence);
        if (sequence.MaxNewTokens == 0)
        {
            End(sequence, FinishKind.Length, failure: null, now);
            return;
        }
        sequence.AddOutput(first.Token.TokenId);
        sequence.Request.Sink.OnToken(first.Token);
        if (sequence.IsEndedBy(first.Token.TokenId, first.IsEndOfGeneration, out FinishKind kind)) End(sequence, kind, failure: null, now);
    }
}
