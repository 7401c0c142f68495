using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary><c>GET /readiness</c>: whether requests can be sent here, on demand with a real one through every pair.</summary>
internal sealed class ReadinessApi(PdRouter router, DeepReadiness deep)
{
    private volatile bool _isDraining;

    /// <summary>Load balancers should look elsewhere; what comes is still answered.</summary>
    public bool IsDraining
    {
        get => _isDraining;
        set => _isDraining = value;
    }

    public async Task AnswerAsync(HttpContext context)
    {
        ReadinessBody body = ReadinessBody.Of(router.Fleet.Now);
        if (IsDraining) body = body with { Status = "draining" };
        else if (context.Request.Query["deep"] == "1" && body.Status == "ready")
        {
            body = body with { Pairs = await deep.ProbeAsync(context.RequestAborted) };
            if (body.Pairs.Any(p => !p.Ok)) body = body with { Status = "pair_failing" };
        }
        await Reply.JsonAsync(context, body.Status == "ready" ? 200 : 503, body, RouterJson.Default.ReadinessBody);
    }
}
