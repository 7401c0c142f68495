using Baton.Router.Http;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Control;

/// <summary><c>/workers/lease</c>: workers that register themselves, stay, and leave.</summary>
internal sealed class LeaseApi(WorkerLeases leases)
{
    /// <summary>The body of <c>POST /workers</c>, again and again.</summary>
    public async Task TakeAsync(HttpContext context)
    {
        WorkerRegistration body = await ControlApi.ReadAsync(context);
        if (leases.Renew(body.ToSpec(), body.InstanceId) is not { } granted)
        {
            await ControlApi.FailAsync(context, 410, "worker_removed", $"{body.Url} was removed here by an operator. A new start of the worker may register again.");
            return;
        }
        await Reply.JsonAsync(context, 200, new LeaseGranted
        {
            WorkerId = granted.Worker.Id,
            Url = granted.Worker.Url,
            LeaseSecs = granted.HasLease ? leases.Length.TotalSeconds : 0,
            Status = granted.Worker.Status.ToString().ToLowerInvariant(),
        }, RouterJson.Default.LeaseGranted);
    }

    public async Task GiveBackAsync(HttpContext context)
    {
        Uri url = WorkerSpec.ParseUrl(context.Request.Query["url"].ToString());
        if (leases.GiveBack(url)) await Reply.BytesAsync(context, 200, "{\"status\":\"accepted\"}"u8.ToArray(), "application/json");
        else await ControlApi.FailAsync(context, 404, "lease_not_found", $"{url.GetLeftPart(UriPartial.Authority)} holds no lease here.");
    }
}
