using Baton.Router.Bodies;
using Baton.Router.Control;
using Baton.Router.Errors;
using Baton.Router.Forwarding;
using Baton.Router.Rooms;
using Microsoft.AspNetCore.Http;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;

namespace Baton.Router.Http;

/// <summary>Requests for tokens: who may send one, and what of it is the router's to read.</summary>
/// <param name="ids">Draws names for requests that have none.</param>
internal sealed class DataApi(KeyRing keys, RequestHeads heads, RouterRandom ids, PdForwarder forwarder)
{
    private volatile bool _isRefusing;

    /// <summary>Nothing new is taken: the router is on its way out.</summary>
    public bool IsRefusing
    {
        get => _isRefusing;
        set => _isRefusing = value;
    }

    /// <param name="received">When the request came, on the router's clock.</param>
    public Task ForwardAsync(HttpContext context, DataEndpoint endpoint, TimeSpan received)
    {
        if (!keys.Admits(context.Request.Headers.Authorization, out string? tenant)) return Reply.ErrorAsync(context, AccessGuard.Refusal());
        if (!IsRefusing) return ForwardAdmittedAsync(context, endpoint, heads.From(context.Request, $"req-{ids.Next():x16}", tenant, received));
        context.Response.Headers.Connection = "close";
        return Reply.ErrorAsync(context, new RouterError(503, "draining", "The router is shutting down. Send the request to another one.") { IsRetryable = true });
    }

    private async Task ForwardAdmittedAsync(HttpContext context, DataEndpoint endpoint, RequestHead head)
    {
        try
        {
            using BodyBuffer buffer = await BodyBuffer.ReadAsync(context.Request, context.RequestAborted);
            ClientBody body = ClientBodyReader.Read(buffer.Utf8, endpoint);
            await forwarder.ForwardAsync(body, head, new HttpClientReply(context), context.RequestAborted);
        }
        catch (BodyException e)
        {
            await Reply.ErrorAsync(context, new RouterError(400, e.Code, e.Message));
        }
        catch (BadHttpRequestException e)
        {
            await Reply.ErrorAsync(context, new RouterError(e.StatusCode, e.StatusCode == 413 ? "payload_too_large" : "invalid_request_body", e.Message));
        }
    }
}
