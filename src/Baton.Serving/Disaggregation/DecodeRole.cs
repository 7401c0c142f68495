using System.IO.Pipelines;
using Baton.Bootstrap.Client;
using Baton.Bootstrap.Decode;
using Baton.Core.Engine;
using Baton.Core.Handover;
using Baton.Core.Ids;
using Baton.Scheduling.Decode;
using Baton.Serving.Workers;
using Baton.Transfer;
using Baton.Transfer.Fake;
using Baton.Transfer.Links;
using Baton.Transfer.Receiving;
using Baton.Transfer.Tcp;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Disaggregation;

/// <summary>What makes a worker a decode worker: one resolver for all ranks, and a KV connector for each.</summary>
internal static class DecodeRole
{
    public static RoleRanks Build(RoleInputs inputs)
    {
        ServeOptions options = inputs.Options;
        BootstrapClient client = new(new BootstrapClientOptions(), inputs.Time);
        inputs.Parts.Own(client);
        RankResolver resolver = new(options.ToResolver(), client, inputs.Time, new Random((int)inputs.Random.NextUInt64()), PipeScheduler.ThreadPool,
            inputs.Loggers.CreateLogger<RankResolver>());
        inputs.Parts.OnDispose(resolver.DisposeAsync);

        TransferOptions transfer = options.ToTransfer();
        if (transfer.Validate() is { Count: > 0 } errors) throw new InvalidOperationException(string.Join(' ', errors));
        ILogger receiverLogger = inputs.Loggers.CreateLogger<KvReceiver>();
        ILogger connectorLogger = inputs.Loggers.CreateLogger<TcpKvConnector>();
        List<DecodeRank> ranks = [];
        for (int i = 0; i < inputs.Engines.Count; i++)
        {
            DpRank rank = new(i);
            IEngine engine = inputs.Engines[i];
            RankWake wake = inputs.Wakes[i];
            IKvReceiver receiver;
            if (options.IsFakeBackend)
            {
                receiver = new FakeKvReceiver(engine.Info.Kv, transfer.MaxChunkTokens, wake.Set);
            }
            else
            {
                KvIdentity self = KvIdentity.Of(engine.Info, WorkerRole.Decode, rank, inputs.Parts.InstanceId, transfer);
                TcpKvConnector connector = new(self, transfer, inputs.Time, connectorLogger);
                inputs.Parts.OnDispose(connector.DisposeAsync);
                receiver = new KvReceiver(new KvInbox(transfer.MaxQueuedFrames, wake.Set), connector, self, receiverLogger);
            }
            ranks.Add(new DecodeRank(rank, engine, receiver, resolver, options.ToScheduler()));
        }
        return new RoleRanks(ranks, Rooms: null);
    }
}
