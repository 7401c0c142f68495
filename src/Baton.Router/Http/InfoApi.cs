using System.Text.Json;
using Baton.Router.Answers;
using Baton.Router.Errors;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>What workers are asked on a client's behalf: models, server info, tokenising, health of a pair.</summary>
internal sealed class InfoApi(PdRouter router, HttpLegTransport http)
{
    private const int MaxBodyBytes = 16 << 20;

    /// <summary>Asks the first ready prefill worker (or unified one) and passes its answer on.</summary>
    public async Task ProxyAsync(HttpContext context)
    {
        if (FirstReady() is not { } worker)
        {
            await NoneReadyAsync(context);
            return;
        }
        bool post = context.Request.Method == "POST";
        ReadOnlyMemory<byte>? body = post ? await Reply.BodyAsync(context, MaxBodyBytes) : null;
        try
        {
            WorkerAnswer answer = await http.CallAsync(
                post ? HttpMethod.Post : HttpMethod.Get, worker.Url + context.Request.Path + context.Request.QueryString, worker.Spec.ApiKey, body, context.RequestAborted);
            await Reply.BytesAsync(context, answer.Status, answer.Body, answer.ContentType ?? "application/json");
        }
        catch (LegException e)
        {
            await Reply.ErrorAsync(context, FailureMapping.FromTransport(FailureMapping.LegOf(worker.Role), worker.Url, e));
        }
    }

    /// <summary>The union of the models of all ready prefill (or unified) workers, each as its worker described it.</summary>
    public async Task ModelsAsync(HttpContext context)
    {
        WorkerFleet.Snapshot fleet = router.Fleet.Now;
        Worker[] askable = [.. fleet.Prefill.Concat(fleet.Unified).Where(w => w.Status == WorkerStatus.Ready).DistinctBy(w => w.ModelName ?? w.Url)];
        if (askable.Length == 0)
        {
            await NoneReadyAsync(context);
            return;
        }
        List<(string Id, byte[] Json)> models = [];
        RouterError? last = null;
        foreach (Worker worker in askable)
        {
            try
            {
                WorkerAnswer answer = await http.CallAsync(HttpMethod.Get, worker.Url + "/v1/models", worker.Spec.ApiKey, null, context.RequestAborted);
                if (answer.IsOk) Collect(answer.Body, models);
                else last = FailureMapping.FromStatus(FailureMapping.LegOf(worker.Role), worker.Url, answer.Status, answer.Body);
            }
            catch (LegException e)
            {
                last = FailureMapping.FromTransport(FailureMapping.LegOf(worker.Role), worker.Url, e);
            }
            catch (JsonException e)
            {
                last = new RouterError(502, "read_response_failed", $"{worker.Url}/v1/models: {e.Message}");
            }
        }
        if (models.Count == 0 && last is not null) await Reply.ErrorAsync(context, last);
        else
        {
            List<byte> list = [.. "{\"object\":\"list\",\"data\":["u8];
            foreach ((_, byte[] json) in models)
            {
                if (list[^1] == '}') list.Add((byte)',');
                list.AddRange(json);
            }
            list.AddRange("]}"u8);
            await Reply.BytesAsync(context, 200, list.ToArray(), "application/json");
        }
    }

    /// <summary>Asks one pair for a real token each; 503 names the leg that failed.</summary>
    public async Task HealthGenerateAsync(HttpContext context)
    {
        WorkerFleet.Snapshot fleet = router.Fleet.Now;
        Worker?[] pair = fleet.Prefill.Count + fleet.Decode.Count > 0
            ? [fleet.Prefill.FirstOrDefault(w => w.Status == WorkerStatus.Ready), fleet.Decode.FirstOrDefault(w => w.Status == WorkerStatus.Ready)]
            : [fleet.Unified.FirstOrDefault(w => w.Status == WorkerStatus.Ready)];
        foreach (Worker? worker in pair)
        {
            if (worker is null)
            {
                await NoneReadyAsync(context);
                return;
            }
            try
            {
                WorkerAnswer answer = await http.CallAsync(HttpMethod.Get, worker.Url + "/health_generate", worker.Spec.ApiKey, null, context.RequestAborted);
                if (answer.IsOk) continue;
                await Reply.ErrorAsync(context, FailureMapping.FromStatus(FailureMapping.LegOf(worker.Role), worker.Url, answer.Status, answer.Body) with { Status = 503 });
                return;
            }
            catch (LegException e)
            {
                await Reply.ErrorAsync(context, FailureMapping.FromTransport(FailureMapping.LegOf(worker.Role), worker.Url, e) with { Status = 503 });
                return;
            }
        }
        await Reply.BytesAsync(context, 200, "{\"status\":\"ok\"}"u8.ToArray(), "application/json");
    }

    private Worker? FirstReady()
    {
        WorkerFleet.Snapshot fleet = router.Fleet.Now;
        return fleet.Prefill.Concat(fleet.Unified).FirstOrDefault(w => w.Status == WorkerStatus.Ready);
    }

    private static void Collect(byte[] answer, List<(string Id, byte[] Json)> models)
    {
        foreach (Range element in JsonPlaces.Elements(answer, JsonPlaces.Find(answer, "data")))
        {
            using JsonDocument model = JsonDocument.Parse(answer.AsMemory(element));
            string id = model.RootElement.TryGetProperty("id", out JsonElement name) ? name.ToString() : "";
            if (!models.Any(m => m.Id == id)) models.Add((id, answer[element]));
        }
    }

    private static Task NoneReadyAsync(HttpContext context) =>
        Reply.ErrorAsync(context, new RouterError(503, "server_selection_failed", "No worker that could answer this is ready. See GET /workers.") { IsRetryable = true });
}
