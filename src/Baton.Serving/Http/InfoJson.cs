using System.Reflection;
using System.Text.Json;
using Baton.Core.Engine;
using Baton.Core.Ids;
using Baton.Core.Ranks;
using Baton.Serving.Workers;

namespace Baton.Serving.Http;

/// <summary>Writes what a worker tells about itself, in SGLang's shapes.</summary>
internal static class InfoJson
{
    public static readonly string Version = typeof(InfoJson).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
        .InformationalVersion.Split('+')[0];

    public static string ModeName(WorkerRole role) => role switch
    {
        WorkerRole.Prefill => "prefill",
        WorkerRole.Decode => "decode",
        _ => "null",
    };

    public static void WriteServerInfo(Utf8JsonWriter json, Worker worker, int port)
    {
        ServeOptions options = worker.Options;
        EngineInfo engine = worker.Calls.Engine;
        json.WriteStartObject();
        json.WriteString("model_path", options.ModelPath ?? worker.Text.ModelName);
        json.WriteString("tokenizer_path", options.ModelPath ?? worker.Text.ModelName);
        json.WriteString("served_model_name", worker.Text.ModelName);
        json.WriteString("host", options.Host);
        json.WriteNumber("port", port);
        json.WriteNumber("tp_size", 1);
        json.WriteNumber("pp_size", 1);
        json.WriteNumber("dp_size", options.DpSize);
        json.WriteBoolean("enable_dp_attention", false);
        json.WriteString("load_balance_method", worker.MethodName);
        json.WriteString("disaggregation_mode", ModeName(options.Role));
        json.WriteString("disaggregation_transfer_backend", options.TransferBackend);
        json.WriteNumber("disaggregation_bootstrap_port", worker.Bootstrap?.Port ?? options.BootstrapPort);
        json.WriteString("engine", options.Engine.ToString().ToLowerInvariant());
        json.WriteNumber("context_length", engine.ContextTokens);
        json.WriteNumber("chunked_prefill_size", options.ChunkedPrefillSize);
        json.WriteNumber("max_running_requests", worker.Ranks[0].Rank.Load.MaxRunningRequests);
        json.WriteNumber("max_queued_requests", options.MaxQueuedRequests);
        json.WriteNumber("max_total_tokens", engine.CellCount);
        json.WriteNumber("max_total_num_tokens", engine.CellCount);
        json.WriteNumber("max_req_input_len", engine.ContextTokens - 1);
        json.WriteNumber("num_reserved_decode_tokens", options.NumReservedDecodeTokens);
        json.WriteNumber("page_size", 1);
        json.WriteString("kv_cache_dtype", options.KvCacheName);
        json.WriteNumber("threads", options.Threads);
        json.WriteString("model_fingerprint", engine.ModelFingerprint);
        json.WriteString("engine_options", engine.EngineOptions);
        json.WriteString("instance_id", worker.InstanceId);
        // Ours: either leg may be cancelled at any time and the other one ends at once, so a router need not wait a leg out.
        json.WriteBoolean("pd_cancel_anytime", true);
        json.WriteString("version", Version);
        json.WriteStartArray("internal_states");
        foreach (RankThread rank in worker.Ranks)
        {
            RankLoad load = rank.Rank.Load;
            json.WriteStartObject();
            json.WriteNumber("dp_rank", load.DpRank);
            json.WriteNumber("last_gen_throughput", Math.Round(load.GenThroughput, 3));
            json.WriteNumber("num_running_reqs", load.RunningRequests);
            json.WriteNumber("num_waiting_reqs", load.WaitingRequests);
            json.WriteNumber("num_used_tokens", load.UsedCells);
            json.WriteNumber("max_total_num_tokens", load.CellCount);
            json.WriteBoolean("is_available", load.IsAvailable);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public static void WriteModelInfo(Utf8JsonWriter json, Worker worker)
    {
        json.WriteStartObject();
        json.WriteString("model_path", worker.Options.ModelPath ?? worker.Text.ModelName);
        json.WriteString("tokenizer_path", worker.Options.ModelPath ?? worker.Text.ModelName);
        json.WriteBoolean("is_generation", true);
        json.WriteNull("preferred_sampling_params");
        json.WriteString("weight_version", "default");
        json.WriteBoolean("has_image_understanding", false);
        json.WriteBoolean("has_audio_understanding", false);
        json.WriteString("model_type", worker.Options.Engine == EngineKind.Llama ? "gguf" : "simulated");
        json.WriteNull("architectures");
        json.WriteString("chat_template", worker.Text.Chat.Name);
        json.WriteNumber("vocab_size", worker.Text.VocabSize);
        json.WriteNumber("context_length", worker.Calls.Engine.ContextTokens);
        json.WriteEndObject();
    }

    public static void WriteModels(Utf8JsonWriter json, Worker worker)
    {
        json.WriteStartObject();
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        json.WriteStartObject();
        json.WriteString("id", worker.Text.ModelName);
        json.WriteString("object", "model");
        json.WriteNumber("created", worker.StartedAtUnixSeconds);
        json.WriteString("owned_by", "baton");
        json.WriteString("root", worker.Text.ModelName);
        json.WriteNumber("max_model_len", worker.Calls.Engine.ContextTokens);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    public static void WriteLoads(Utf8JsonWriter json, Worker worker)
    {
        json.WriteStartObject();
        json.WriteNumber("timestamp", worker.Clock.Time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        json.WriteString("version", Version);
        json.WriteNumber("dp_rank_count", worker.Ranks.Count);
        json.WriteStartArray("loads");
        foreach (RankThread rank in worker.Ranks) WriteLoad(json, worker.Options.Role, rank.Rank.Load);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>SGLang's older list.</summary>
    public static void WriteOldLoads(Utf8JsonWriter json, Worker worker)
    {
        json.WriteStartArray();
        foreach (RankThread rank in worker.Ranks)
        {
            RankLoad load = rank.Rank.Load;
            json.WriteStartObject();
            json.WriteNumber("dp_rank", load.DpRank);
            json.WriteNumber("num_reqs", load.RunningRequests + load.WaitingRequests);
            json.WriteNumber("num_waiting_reqs", load.WaitingRequests);
            json.WriteNumber("num_tokens", load.TotalTokens);
            json.WriteNumber("num_pending_tokens", load.UncomputedPromptTokens);
            json.WriteNumber("ts_tic", load.At.TotalSeconds);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteLoad(Utf8JsonWriter json, WorkerRole role, RankLoad load)
    {
        double usage = Math.Round((double)load.UsedCells / load.CellCount, 4);
        json.WriteStartObject();
        json.WriteNumber("timestamp", Math.Round(load.At.TotalSeconds, 6));
        json.WriteNumber("dp_rank", load.DpRank);
        json.WriteNumber("num_running_reqs", load.RunningRequests);
        json.WriteNumber("num_waiting_reqs", load.WaitingRequests);
        json.WriteNumber("num_waiting_uncached_tokens", load.UncomputedPromptTokens);
        json.WriteNumber("num_used_tokens", load.UsedCells);
        json.WriteNumber("num_total_tokens", load.TotalTokens);
        json.WriteNumber("max_total_num_tokens", load.CellCount);
        json.WriteNumber("max_running_requests", load.MaxRunningRequests);
        json.WriteNumber("token_usage", usage);
        json.WriteNumber("gen_throughput", Math.Round(load.GenThroughput, 3));
        json.WriteNumber("cache_hit_rate", 0);
        json.WriteNumber("utilization", usage);
        json.WriteBoolean("is_available", load.IsAvailable);
        json.WriteNumber("step_count", load.StepCount);
        json.WriteStartObject("queues");
        json.WriteNumber("waiting", load.WaitingRequests);
        json.WriteNumber("retracted", load.RetractedQueue);
        json.WriteEndObject();
        json.WriteStartObject("disaggregation");
        json.WriteString("mode", ModeName(role));
        json.WriteNumber("prefill_bootstrap_queue_reqs", load.BootstrapQueue);
        json.WriteNumber("prefill_inflight_queue_reqs", load.InflightQueue);
        json.WriteNumber("decode_prealloc_queue_reqs", load.PreallocQueue);
        json.WriteNumber("decode_transfer_queue_reqs", load.TransferQueue);
        json.WriteNumber("decode_retracted_queue_reqs", load.RetractedQueue);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
