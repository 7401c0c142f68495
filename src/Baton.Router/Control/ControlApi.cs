using System.Text.Json;
using Baton.Core.Ids;
using Baton.Router.Errors;
using Baton.Router.Http;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Control;

/// <summary>The control plane over HTTP: the table of section "Control plane" in docs/router.md, one case a row.</summary>
internal sealed class ControlApi(PdRouter router, FleetControl control, WorkerLeases leases, HttpLegTransport http, KeyRing admin, CancellationToken stopping)
{
    private const int MaxBodyBytes = 1 << 20;
    private readonly LeaseApi _leases = new(leases);

    /// <summary>Answers a control request; false when the path is none.</summary>
    public async Task<bool> TryHandleAsync(HttpContext context)
    {
        string path = context.Request.Path.Value ?? "";
        Func<HttpContext, Task>? handler = (context.Request.Method, path) switch
        {
            ("GET", "/workers") => c => Reply.JsonAsync(c, 200, WorkerList.Of(router.Fleet.Now), RouterJson.Default.WorkerList),
            ("POST", "/workers") => AddAsync,
            ("POST", "/add_worker") => AddByQueryAsync,
            ("POST", "/remove_worker") => RemoveByQueryAsync,
            ("GET", "/list_workers") => c => Reply.JsonAsync(c, 200, new UrlList { Urls = [.. router.Fleet.Now.All.Select(w => w.Url)] }, RouterJson.Default.UrlList),
            ("POST", "/pd_role_switch") => SwitchRoleAsync,
            ("POST" or "GET", "/flush_cache") => FlushAsync,
            ("GET", "/get_loads") => c => Reply.JsonAsync(c, 200, LoadList.Of(router.Fleet.Now), RouterJson.Default.LoadList),
            ("GET", "/engine_metrics") => EngineMetricsAsync,
            ("POST", "/config/reload") => ReloadAsync,
            ("POST", "/workers/lease") => _leases.TakeAsync,
            ("DELETE", "/workers/lease") => _leases.GiveBackAsync,
            (var method, _) when path.StartsWith("/workers/", StringComparison.Ordinal) => c => OneAsync(c, method, path["/workers/".Length..].Split('/')),
            _ => null,
        };
        if (handler is null) return false;
        if (!admin.Admits(context.Request.Headers.Authorization, out _)) await FailAsync(context, 401, "unauthorized", "The control plane wants the admin key as a bearer token.");
        else await RunAsync(context, handler);
        return true;
    }

    private static async Task RunAsync(HttpContext context, Func<HttpContext, Task> handler)
    {
        try
        {
            await handler(context);
        }
        catch (FormatException e)
        {
            await FailAsync(context, 400, "invalid_request", e.Message);
        }
        catch (JsonException e)
        {
            // Its text names types of ours; the path is what the caller knows.
            await FailAsync(context, 400, "invalid_request", e.Path is { Length: > 1 } path ? $"{path[2..]} is not of the kind that belongs there." : "The body must be a JSON object.");
        }
    }

    private async Task AddAsync(HttpContext context)
    {
        WorkerRegistration body = await ReadAsync(context);
        await AcceptAsync(context, body.ToSpec());
    }

    private async Task AddByQueryAsync(HttpContext context)
    {
        IQueryCollection query = context.Request.Query;
        WorkerRegistration body = new()
        {
            Url = query["url"],
            ApiKey = query["api_key"].Count > 0 ? query["api_key"][0] : null,
            WorkerType = query["worker_type"].Count > 0 ? query["worker_type"][0] : null,
            BootstrapPort = query["bootstrap_port"].Count == 0 ? null : int.TryParse(query["bootstrap_port"], out int port) ? port : throw new FormatException($"bootstrap_port is {query["bootstrap_port"]}: a port is 1 to 65535."),
        };
        Worker? worker = control.Add(body.ToSpec());
        if (worker is null) await FailAsync(context, 409, "duplicate_worker", $"{body.Url} is registered already.");
        else await Reply.JsonAsync(context, 200, Accepted(worker, "added"), RouterJson.Default.WorkerAccepted);
    }

    private async Task AcceptAsync(HttpContext context, WorkerSpec spec)
    {
        if (control.Add(spec) is not { } worker)
        {
            await FailAsync(context, 409, "duplicate_worker", $"{spec.Url} is registered already.");
            return;
        }
        context.Response.Headers.Location = $"/workers/{worker.Id}";
        await Reply.JsonAsync(context, 202, Accepted(worker, "It takes requests once its health check passes."), RouterJson.Default.WorkerAccepted);
    }

    private async Task RemoveByQueryAsync(HttpContext context)
    {
        string url = context.Request.Query["url"].ToString();
        if (router.Fleet.Find(url) is not { } worker)
        {
            await FailAsync(context, 404, "worker_not_found", $"No worker '{url}'. See GET /workers.");
            return;
        }
        Start(control.RemoveAsync(worker, drain: true, stopping));
        await Reply.JsonAsync(context, 200, Accepted(worker, "It drains and is removed then."), RouterJson.Default.WorkerAccepted);
    }

    private async Task OneAsync(HttpContext context, string method, string[] parts)
    {
        if (router.Fleet.Find(Uri.UnescapeDataString(parts[0])) is not { } worker || parts.Length > 2)
        {
            await FailAsync(context, 404, "worker_not_found", $"No worker '{parts[0]}'. See GET /workers.");
            return;
        }
        switch (method, parts.Length == 2 ? parts[1] : "")
        {
            case ("GET", ""):
                await Reply.JsonAsync(context, 200, WorkerRow.Of(worker), RouterJson.Default.WorkerRow);
                return;
            case ("PUT" or "PATCH", ""):
                WorkerRegistration body = await ReadAsync(context);
                WorkerSpec from = method == "PUT" ? new WorkerSpec { Url = worker.Spec.Url, Role = worker.Role } : worker.Spec;
                Worker changed = control.Change(worker, body.Patch(from));
                await Reply.JsonAsync(context, 202, Accepted(changed, "changed"), RouterJson.Default.WorkerAccepted);
                return;
            case ("DELETE", ""):
                Start(control.RemoveAsync(worker, context.Request.Query["drain"] != "false", stopping));
                await Reply.JsonAsync(context, 202, Accepted(worker, "It drains and is removed then."), RouterJson.Default.WorkerAccepted);
                return;
            case ("POST", "drain"):
                worker.Status = WorkerStatus.Draining;
                await Reply.JsonAsync(context, 202, Accepted(worker, $"It takes nothing new; {worker.InFlight} requests run."), RouterJson.Default.WorkerAccepted);
                return;
            case ("POST", "resume"):
                if (worker.Status is WorkerStatus.Draining or WorkerStatus.Failed) worker.Status = WorkerStatus.NotReady;
                await Reply.JsonAsync(context, 202, Accepted(worker, "It takes requests once its health check passes."), RouterJson.Default.WorkerAccepted);
                return;
            default:
                await FailAsync(context, 405, "method_not_allowed", $"{method} is not for this path: GET, PUT, PATCH, DELETE, or POST .../drain and .../resume.");
                return;
        }
    }

    private async Task SwitchRoleAsync(HttpContext context)
    {
        RoleSwitchRequest request = JsonSerializer.Deserialize(await Reply.BodyAsync(context, MaxBodyBytes), RouterJson.Default.RoleSwitchRequest) ?? throw new FormatException("The body is empty.");
        if (router.Fleet.Find(request.WorkerUrl ?? "") is not { } worker)
        {
            await FailAsync(context, 400, "worker_not_found", $"worker_url '{request.WorkerUrl}' names no worker. See GET /workers.");
            return;
        }
        WorkerRole role = WorkerRegistration.ParseRole(request.NewRole ?? throw new FormatException("new_role is missing."));
        if (role == WorkerRole.Unified) throw new FormatException("new_role must be prefill or decode.");
        if (request.DrainTimeoutSecs is < 0 or > 86400) throw new FormatException($"drain_timeout_secs is {request.DrainTimeoutSecs}: give 0 to 86400.");
        TimeSpan limit = TimeSpan.FromSeconds(request.DrainTimeoutSecs ?? 300);
        (int Status, string Text)? refused = await control.SwitchRoleAsync(worker, role, request.BootstrapPort, request.Drain ?? true, limit, context.RequestAborted);
        if (refused is { } why) await FailAsync(context, why.Status, "role_switch_failed", why.Text);
        else await Reply.JsonAsync(context, 200, Accepted(worker, $"It is a {request.NewRole} worker now."), RouterJson.Default.WorkerAccepted);
    }

    /// <summary>Tells every worker, and passes <c>timeout</c> on: without it a worker flushes while transfers still read.</summary>
    private async Task FlushAsync(HttpContext context)
    {
        string timeout = context.Request.Query["timeout"].ToString();
        string path = timeout.Length == 0 ? "/flush_cache" : $"/flush_cache?timeout={Uri.EscapeDataString(timeout)}";
        BroadcastRow[] rows = await Task.WhenAll(router.Fleet.Now.All.Select(async worker =>
        {
            try
            {
                WorkerAnswer answer = await http.CallAsync(HttpMethod.Post, worker.Url + path, worker.Spec.ApiKey, null, context.RequestAborted);
                return new BroadcastRow { Url = worker.Url, Status = answer.Status, Message = WorkerWords.Read(answer.Body).Message };
            }
            catch (LegException e)
            {
                return new BroadcastRow { Url = worker.Url, Status = 502, Message = e.Message };
            }
        }));
        await Reply.JsonAsync(context, 200, new BroadcastList { Success = rows.All(r => r.Status is >= 200 and <= 299), Results = rows }, RouterJson.Default.BroadcastList);
    }

    /// <summary>Every worker's metrics with a <c>worker</c> label; a worker that does not answer is a comment.</summary>
    private async Task EngineMetricsAsync(HttpContext context)
    {
        string[] parts = await Task.WhenAll(router.Fleet.Now.All.Select(async worker =>
        {
            try
            {
                WorkerAnswer answer = await http.CallAsync(HttpMethod.Get, worker.Url + "/metrics", worker.Spec.ApiKey, null, context.RequestAborted);
                return answer.IsOk ? EngineMetrics.WithWorker(System.Text.Encoding.UTF8.GetString(answer.Body), worker.Url) : $"# {worker.Url} answered {answer.Status}\n";
            }
            catch (LegException e)
            {
                return $"# {worker.Url}: {e.Message.ReplaceLineEndings(" ")}\n";
            }
        }));
        await Reply.TextAsync(context, 200, string.Concat(parts), "text/plain; version=0.0.4; charset=utf-8");
    }

    private async Task ReloadAsync(HttpContext context)
    {
        if (control.Reload(stopping) is { } refused) await FailAsync(context, 400, "reload_failed", refused);
        else await Reply.JsonAsync(context, 200, WorkerList.Of(router.Fleet.Now), RouterJson.Default.WorkerList);
    }

    internal static async Task<WorkerRegistration> ReadAsync(HttpContext context) =>
        JsonSerializer.Deserialize(await Reply.BodyAsync(context, MaxBodyBytes), RouterJson.Default.WorkerRegistration) ?? throw new FormatException("The body is null.");

    private static WorkerAccepted Accepted(Worker worker, string message) =>
        new() { Status = "accepted", WorkerId = worker.Id, Url = worker.Url, Location = $"/workers/{worker.Id}", Message = message };

    internal static Task FailAsync(HttpContext context, int status, string code, string message) =>
        Reply.JsonAsync(context, status, new ControlError { Error = message, Code = code }, RouterJson.Default.ControlError);

    // The answer says that it began; GET /workers shows how far it is. Cancelled only when the router stops.
    private static void Start(Task work) => _ = WatchAsync(work);

    private static async Task WatchAsync(Task work)
    {
        try
        {
            await work;
        }
        catch (OperationCanceledException)
        {
            // The router stops.
        }
    }
}
