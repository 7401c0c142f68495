using Baton.Router.Answers;
using Baton.Router.Bodies;
using Baton.Router.Errors;

namespace Baton.Router.Forwarding;

/// <summary>How one request is divided into parts, each of which runs as a request of its own.</summary>
/// <param name="Noun">What a part is, for messages.</param>
/// <param name="AtOnce">Parts that may run at the same time.</param>
internal abstract record FanoutPlan(ClientBody Body, string Noun, PartOrder Order, int AtOnce)
{
    public int Count => Order.Count;

    /// <exception cref="BodyException">The part's own body cannot be routed.</exception>
    public abstract Task<RouterError?> RunAsync(int part, PdForwarder forwarder, RequestHead head, IClientReply reply, CancellationToken ct);
}

/// <summary><c>n &gt; 1</c>: one sample of every prompt each.</summary>
internal sealed record SamplePlan : FanoutPlan
{
    private readonly RequestFacts _one;

    public SamplePlan(ClientBody body)
        : base(body, "sample", new PartOrder(body.Facts.SampleCount, 1, ArePrompts: false), body.Facts.SampleCount) => _one = body.Facts with { SampleCount = 1 };

    public override Task<RouterError?> RunAsync(int part, PdForwarder forwarder, RequestHead head, IClientReply reply, CancellationToken ct) =>
        forwarder.RunAsync(Body, _one, Body.EditsForSample(part), head, reply, ct);
}

/// <summary><c>--batch-fanout</c>: one prompt of the batch each.</summary>
internal sealed record BatchPlan : FanoutPlan
{
    private readonly BatchItems _items;

    private BatchPlan(ClientBody body, BatchItems items, int samples, int atOnce)
        : base(body, "prompt", new PartOrder(items.Count, samples, ArePrompts: true), atOnce) => _items = items;

    /// <exception cref="BodyException">The batch cannot be taken apart.</exception>
    public static BatchPlan Of(ClientBody body, int atOnce)
    {
        BatchItems items = new(body);
        return new BatchPlan(body, items, items.Item(0).Facts.SampleCount, atOnce);
    }

    public override Task<RouterError?> RunAsync(int part, PdForwarder forwarder, RequestHead head, IClientReply reply, CancellationToken ct)
    {
        ClientBody item = _items.Item(part);
        if (item.Facts.SampleCount != Order.PerPart)
            throw new BodyException("invalid_request_body", $"sampling_params.n is {item.Facts.SampleCount}, and {Order.PerPart} for the first prompt: it must be the same for all.");
        forwarder.CountPart();
        return forwarder.RunSamplesAsync(item, head, reply, ct);
    }
}
