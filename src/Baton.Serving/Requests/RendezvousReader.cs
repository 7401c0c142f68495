using System.Globalization;
using System.Text.Json;
using Baton.Core.Ids;
using Baton.Core.Requests;

namespace Baton.Serving.Requests;

/// <summary>The fields that say which ranks and which room: one answer per sequence of the call.</summary>
/// <remarks>
/// A scalar is for every sequence; a list has one element per prompt (samples of a prompt share it) or one per sequence. Rooms are
/// never shared: a scalar room r becomes r, r+1, ..., and a list needs one room per sequence.
/// </remarks>
internal sealed class RendezvousReader
{
    public const string RankHeader = "X-Data-Parallel-Rank";

    private readonly CallContext _context;
    private readonly JsonFields _fields;
    private readonly int _prompts;
    private readonly int _samples;
    private readonly int?[] _routed;
    private readonly int?[] _hints;
    private readonly BootstrapInfo?[] _bootstraps;

    /// <param name="headerRank">Value of <see cref="RankHeader"/>, or null. It goes before the body.</param>
    public RendezvousReader(CallContext context, JsonFields fields, int prompts, int samples, string? headerRank)
    {
        (_context, _fields, _prompts, _samples) = (context, fields, prompts, samples);
        _routed = RoutedRanks(headerRank);
        _hints = Ranks("disagg_prefill_dp_rank", context.Role == WorkerRole.Prefill ? context.DpSize : int.MaxValue);
        _bootstraps = context.Role == WorkerRole.Unified ? new BootstrapInfo?[Count] : Bootstraps();
    }

    private int Count => _prompts * _samples;

    /// <summary>The client still uses <c>data_parallel_rank</c>.</summary>
    public bool UsesDeprecatedRank { get; private set; }

    /// <summary>Both names were given and differ; <c>routed_dp_rank</c> counts.</summary>
    public bool DeprecatedRankDiffers { get; private set; }

    public DpRank? Routed(int sequence) => _routed[sequence] is { } rank ? new DpRank(rank) : null;

    public BootstrapInfo? Bootstrap(int sequence) => _bootstraps[sequence];

    private int?[] RoutedRanks(string? header)
    {
        int?[] routed = Ranks("routed_dp_rank", _context.DpSize);
        int?[] old = Ranks("data_parallel_rank", _context.DpSize);
        if (_fields.Has("data_parallel_rank"))
        {
            UsesDeprecatedRank = true;
            for (int i = 0; i < Count; i++)
            {
                if (routed[i] is { } named && old[i] is { } alias && named != alias) DeprecatedRankDiffers = true;
                routed[i] ??= old[i];
            }
        }
        if (header is null) return routed;
        if (!int.TryParse(header, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int rank))
            throw new BadRequestException(RankHeader, $"Invalid {RankHeader} header: must be an integer, got '{(header.Length > 64 ? header[..64] : header)}'");
        if (rank < 0 || rank >= _context.DpSize) throw OutOfRange(RankHeader, rank, _context.DpSize);
        Array.Fill(routed, rank);
        return routed;
    }

    private int?[] Ranks(string name, int dpSize)
    {
        int?[] ranks = new int?[Count];
        Spread(name, ranks, (element, value) =>
        {
            if (!JsonFields.TryInteger(value, out long rank)) throw _fields.Bad(element, value, "must be an integer");
            if (rank < 0 || rank >= dpSize) throw OutOfRange(_fields.PathOf(element), rank, dpSize);
            return (int)rank;
        });
        return ranks;
    }

    private BootstrapInfo?[] Bootstraps()
    {
        string?[] hosts = new string?[Count];
        Spread("bootstrap_host", hosts, (name, value) =>
        {
            if (value.ValueKind != JsonValueKind.String) throw _fields.Bad(name, value, "must be a string");
            string host = _fields.StringOf(name, value);
            // It goes into a URL later: only what a host name or an address is made of.
            return host.Length is > 0 and <= 253 && host.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':' or '[' or ']' or '%')
                ? host : throw _fields.Bad(name, value, "must be a host name or an IP address");
        });
        int?[] ports = new int?[Count];
        Spread("bootstrap_port", ports, (name, value) => _fields.IntegerOf(name, value, 1, 65535));
        ulong?[] rooms = Rooms();

        BootstrapInfo?[] all = new BootstrapInfo?[Count];
        for (int i = 0; i < Count; i++)
        {
            BootstrapAddress address = BootstrapAddress.From(
                _context.IsFakeBackend ? BootstrapAddress.FakeHost : hosts[i] ?? MissingHost(rooms[i]), ports[i] ?? _context.DefaultBootstrapPort);
            if (rooms[i] is not { } room)
            {
                if (!address.IsFake) throw MissingRoom();
                room = 0;
            }
            if (room == 0 && !address.IsFake) throw _fields.Bad("bootstrap_room", "0 means \"not written\"; draw rooms from [1, 9223372036854775807]");
            all[i] = new BootstrapInfo(address, new BootstrapRoom(room), _hints[i] is { } hint ? new DpRank(hint) : null);
        }
        return all;
    }

    private ulong?[] Rooms()
    {
        ulong?[] rooms = new ulong?[Count];
        if (!_fields.TryGet("bootstrap_room", out JsonElement value)) return rooms;
        if (value.ValueKind != JsonValueKind.Array)
        {
            ulong first = Room("bootstrap_room", value);
            if (first > BootstrapRoom.MaxValue - (ulong)(Count - 1))
                throw _fields.Bad("bootstrap_room", value, $"leaves no {Count} rooms up to {BootstrapRoom.MaxValue}");
            // The fake host has no rooms to tell apart, and its room 0 stays 0.
            for (int i = 0; i < Count; i++) rooms[i] = first == 0 ? 0 : first + (ulong)i;
            return rooms;
        }
        int given = value.GetArrayLength();
        if (given != Count) throw _fields.Bad("bootstrap_room", $"has {given} rooms for {Count} sequences; every sequence needs a room of its own, with n > 1 too");
        HashSet<ulong> seen = [];
        int at = 0;
        foreach (JsonElement element in value.EnumerateArray())
        {
            string name = $"bootstrap_room[{at}]";
            ulong room = Room(name, element);
            if (room != 0 && !seen.Add(room)) throw _fields.Bad(name, element, "is there twice; every sequence needs a room of its own");
            rooms[at++] = room;
        }
        return rooms;
    }

    /// <summary>An integer, or its digits as a string for clients whose numbers end at 2^53. Never through a double.</summary>
    private ulong Room(string name, JsonElement value)
    {
        bool isRead = value.ValueKind switch
        {
            JsonValueKind.Number => value.TryGetUInt64(out ulong room) && BootstrapRoom.IsValid(room),
            JsonValueKind.String => ulong.TryParse(value.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong room) && BootstrapRoom.IsValid(room),
            _ => false,
        };
        if (!isRead) throw _fields.Bad(name, value, $"must be an integer in [0, {BootstrapRoom.MaxValue}]");
        return value.ValueKind == JsonValueKind.Number ? value.GetUInt64() : ulong.Parse(value.GetString()!, CultureInfo.InvariantCulture);
    }

    private void Spread<T>(string name, T?[] target, Func<string, JsonElement, T> read) where T : struct =>
        SpreadOver(name, (i, element, value) => target[i] = value.ValueKind == JsonValueKind.Null ? null : read(element, value));

    private void Spread(string name, string?[] target, Func<string, JsonElement, string> read) =>
        SpreadOver(name, (i, element, value) => target[i] = value.ValueKind == JsonValueKind.Null ? null : read(element, value));

    private void SpreadOver(string name, Action<int, string, JsonElement> put)
    {
        if (!_fields.TryGet(name, out JsonElement value)) return;
        if (value.ValueKind != JsonValueKind.Array)
        {
            for (int i = 0; i < Count; i++) put(i, name, value);
            return;
        }
        int given = value.GetArrayLength();
        if (given != _prompts && given != Count) throw _fields.Bad(name, $"has {given} elements for {_prompts} prompts");
        for (int i = 0; i < Count; i++)
        {
            int at = given == Count ? i : i / _samples;
            put(i, $"{name}[{at}]", value[at]);
        }
    }

    private static BadRequestException OutOfRange(string field, long rank, int dpSize) => new(field, $"{field}={rank} out of range [0, {dpSize})");

    private static string MissingHost(ulong? room) => room is null
        ? throw MissingRoom()
        : throw new BadRequestException("bootstrap_host", "bootstrap_host: is missing; a prefill or decode worker needs to know the bootstrap server of the request.");

    /// <summary>SGLang's words, which its routers look for.</summary>
    private static BadRequestException MissingRoom() => new(
        "bootstrap_room", "Invalid request: Disaggregated request received without bootstrap room id. Send it through a router, or add bootstrap_host and bootstrap_room.");
}
