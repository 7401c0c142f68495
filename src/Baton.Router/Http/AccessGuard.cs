using Baton.Router.Control;
using Baton.Router.Errors;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>Whose key a path asks for.</summary>
/// <param name="keys">Of clients.</param>
/// <param name="admin">Of operators; when it is empty the clients' keys count.</param>
internal sealed class AccessGuard(KeyRing keys, KeyRing admin)
{
    /// <summary>What a request hears whose key is none of the router's.</summary>
    public static RouterError Refusal() => new(401, "unauthorized", "Send one of the router's keys as 'Authorization: Bearer KEY'.");

    public Task ForClientsAsync(HttpContext context, Func<HttpContext, Task> handler) =>
        keys.Admits(context.Request.Headers.Authorization, out _) ? handler(context) : Reply.ErrorAsync(context, Refusal());

    /// <summary>For what names workers and other tenants' requests. Without an admin key whoever may send requests may ask why they went where.</summary>
    public Task ForOperatorsAsync(HttpContext context, Func<HttpContext, Task> handler) => admin.IsEmpty ? ForClientsAsync(context, handler)
        : admin.Admits(context.Request.Headers.Authorization, out _) ? handler(context)
        : Reply.ErrorAsync(context, new RouterError(401, "unauthorized", "Send the router's admin key as 'Authorization: Bearer KEY'."));
}
