using Baton.Serving.Output;
using Baton.Serving.Requests;
using Baton.Serving.Workers;

namespace Baton.Serving.Http;

/// <summary>Answers <c>/generate</c>: one object, an array for batches and samples, or a stream of cumulative events.</summary>
internal static class GenerateEndpoint
{
    public static async Task AnswerAsync(Worker worker, GenerationCall call, JsonReply reply, CancellationToken ct)
    {
        using CallRun run = CallRun.Start(worker, call);
        if (call.IsStream) await StreamAsync(worker, run, reply, ct);
        else await AnswerWholeAsync(worker, run, reply, ct);
    }

    private static async Task AnswerWholeAsync(Worker worker, CallRun run, JsonReply reply, CancellationToken ct)
    {
        await run.CompleteAsync(ct);
        TimeSpan now = worker.Clock.Now;
        await reply.SendAsync(200, json =>
        {
            if (!run.Call.IsList)
            {
                NativeJson.Write(json, run.Runs[0], worker.Text, now);
                return;
            }
            json.WriteStartArray();
            foreach (SequenceRun one in run.Runs) NativeJson.Write(json, one, worker.Text, now);
            json.WriteEndArray();
        }, ct);
    }

    private static async Task StreamAsync(Worker worker, CallRun run, JsonReply reply, CancellationToken ct)
    {
        await foreach (int index in run.NewsAsync(ct))
        {
            SequenceRun one = run.Runs[index];
            if (CallRun.FailureOf(one) is { } failure)
            {
                if (!reply.HasBegun) throw new CallFailedException(failure);
                await reply.SendEventAsync(json => ErrorJson.Write(json, failure, run.Call.IsList ? index : null), ct);
                continue;
            }
            await reply.SendEventAsync(json => NativeJson.Write(json, one, worker.Text, worker.Clock.Now, run.Call.IsList ? index : null), ct);
        }
        await reply.SendDoneAsync(ct);
    }
}
