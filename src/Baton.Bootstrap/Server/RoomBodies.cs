using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Server;

/// <summary>Reads the request bodies about rooms, token by token: they are the hot path, and a room never passes through a double.</summary>
/// <remarks>Throws <see cref="BadFieldException"/>, or <see cref="JsonException"/> where the body is no JSON. Integers may come as numeric strings, as in SGLang. Unknown keys are skipped; a key given twice counts the last time, as in Python.</remarks>
internal static class RoomBodies
{
    /// <summary><c>{"bootstrap_room": int, "dp_rank": int}</c></summary>
    public static (BootstrapRoom Room, DpRank Rank) ReadRegistration(in ReadOnlySequence<byte> body, int? dpSize)
    {
        if (body.IsSingleSegment && PlainBodies.TryReadRegistration(body.FirstSpan, out ulong plainRoom, out long plainRank))
            return (new BootstrapRoom(plainRoom), CheckRank(plainRank, "dp_rank", dpSize));
        BootstrapRoom? room = null;
        DpRank? rank = null;
        Utf8JsonReader json = Open(body);
        while (NextKey(ref json, out string key))
        {
            switch (key)
            {
                case "bootstrap_room": room = ReadRoom(ref json, key); break;
                case "dp_rank": rank = ReadRank(ref json, key, dpSize); break;
                default: json.Skip(); break;
            }
        }
        Close(ref json);
        return (room ?? throw Missing("bootstrap_room"), rank ?? throw Missing("dp_rank"));
    }

    /// <summary><c>{"bootstrap_rooms": [int, ...]}</c></summary>
    public static List<BootstrapRoom> ReadRoomList(in ReadOnlySequence<byte> body)
    {
        List<BootstrapRoom>? rooms = [];
        if (body.IsSingleSegment && PlainBodies.TryReadRooms(body.FirstSpan, rooms)) return rooms;
        rooms = null;
        Utf8JsonReader json = Open(body);
        while (NextKey(ref json, out string key))
        {
            if (key == "bootstrap_rooms") rooms = ReadRooms(ref json, key);
            else json.Skip();
        }
        Close(ref json);
        return rooms ?? throw Missing("bootstrap_rooms");
    }

    /// <summary><c>{"rooms": [..], "wait_ms": int, "wait_for": "any"|"all", "watch": "id", "resume": bool, "forget": [..]}</c></summary>
    public static RoomQuery ReadQuery(in ReadOnlySequence<byte> body)
    {
        RoomQuery query = new();
        Utf8JsonReader json = Open(body);
        while (NextKey(ref json, out string key))
        {
            query = key switch
            {
                "rooms" => query with { Rooms = ReadRooms(ref json, key) },
                "forget" => query with { Forget = ReadRooms(ref json, key) },
                "wait_ms" => query with { Wait = TimeSpan.FromMilliseconds(ReadLong(ref json, key, 0, 86_400_000)) },
                "wait_for" => query with { WaitFor = ReadWaitFor(ref json, key) },
                "resume" => query with { IsResumed = ReadFlag(ref json, key) },
                "watch" => query with { WatchId = ReadText(ref json, key, RoomQuery.MaxWatchIdLength) },
                _ => Skip(ref json, query),
            };
        }
        Close(ref json);
        if (query.WatchId is { Length: 0 }) throw new BadFieldException("watch", "watch is empty. Leave it out, or send an id of your own choice.");
        return query;
    }

    /// <summary><c>{"register": [[room, dp_rank], ..], "failed": [{"room", "reason", "message"}, ..], "ended": [room, ..]}</c></summary>
    public static RoomUpdate ReadUpdate(in ReadOnlySequence<byte> body, int? dpSize)
    {
        RoomUpdate update = new();
        Utf8JsonReader json = Open(body);
        while (NextKey(ref json, out string key))
        {
            update = key switch
            {
                "register" => update with { Registered = ReadPairs(ref json, dpSize) },
                "failed" => update with { Failed = ReadFailures(ref json) },
                "ended" => update with { Ended = ReadRooms(ref json, key) },
                _ => Skip(ref json, update),
            };
        }
        Close(ref json);
        return update;
    }

    private static List<KeyValuePair<BootstrapRoom, DpRank>> ReadPairs(ref Utf8JsonReader json, int? dpSize)
    {
        const string Shape = "register must be an array of [room, dp_rank] pairs.";
        List<KeyValuePair<BootstrapRoom, DpRank>> pairs = [];
        Expect(ref json, JsonTokenType.StartArray, "register", Shape);
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType != JsonTokenType.StartArray) throw new BadFieldException("register", Shape);
            BootstrapRoom room = ReadRoom(ref json, "register");
            DpRank rank = ReadRank(ref json, "register", dpSize);
            Expect(ref json, JsonTokenType.EndArray, "register", Shape);
            pairs.Add(new(room, rank));
        }
        return pairs;
    }

    private static List<KeyValuePair<BootstrapRoom, RequestFailure>> ReadFailures(ref Utf8JsonReader json)
    {
        const string Shape = "failed must be an array of objects with room, reason and message.";
        List<KeyValuePair<BootstrapRoom, RequestFailure>> failures = [];
        Expect(ref json, JsonTokenType.StartArray, "failed", Shape);
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType != JsonTokenType.StartObject) throw new BadFieldException("failed", Shape);
            failures.Add(ReadFailure(ref json));
        }
        return failures;
    }

    private static KeyValuePair<BootstrapRoom, RequestFailure> ReadFailure(ref Utf8JsonReader json)
    {
        BootstrapRoom? room = null;
        FailureReason? reason = null;
        string message = "";
        while (NextKey(ref json, out string key))
        {
            switch (key)
            {
                case "room": room = ReadRoom(ref json, "failed.room"); break;
                case "reason": reason = ReadReason(ref json); break;
                case "message": message = FailedRoomText.Cut(ReadText(ref json, "failed.message", int.MaxValue)); break;
                default: json.Skip(); break;
            }
        }
        return new(room ?? throw Missing("failed.room"), new RequestFailure(reason ?? throw Missing("failed.reason"), message));
    }

    private static FailureReason ReadReason(ref Utf8JsonReader json)
    {
        string code = ReadText(ref json, "failed.reason", 64);
        return FailedRoomText.ReasonOf(code)
            ?? throw new BadFieldException("failed.reason", $"failed.reason is '{code}', which is no failure code.");
    }

    private static RoomWaitFor ReadWaitFor(ref Utf8JsonReader json, string key) => ReadText(ref json, key, 8) switch
    {
        "any" => RoomWaitFor.Any,
        "all" => RoomWaitFor.All,
        string other => throw new BadFieldException(key, $"{key} is '{other}'. Use any or all."),
    };

    private static List<BootstrapRoom> ReadRooms(ref Utf8JsonReader json, string key)
    {
        Expect(ref json, JsonTokenType.StartArray, key, $"{key} must be an array of rooms.");
        List<BootstrapRoom> rooms = [];
        while (json.Read() && json.TokenType != JsonTokenType.EndArray) rooms.Add(new BootstrapRoom((ulong)Integer(ref json, key, 0, long.MaxValue)));
        return rooms;
    }

    private static BootstrapRoom ReadRoom(ref Utf8JsonReader json, string key) => new((ulong)ReadLong(ref json, key, 0, long.MaxValue));

    private static DpRank ReadRank(ref Utf8JsonReader json, string key, int? dpSize) => CheckRank(ReadLong(ref json, key, 0, int.MaxValue), key, dpSize);

    private static DpRank CheckRank(long rank, string key, int? dpSize) => dpSize is { } size && rank >= size
        ? throw new BadFieldException(key, $"{key}: rank {rank} is out of range, the registered prefill group has ranks [0, {size}).")
        : new DpRank((int)rank);

    private static long ReadLong(ref Utf8JsonReader json, string key, long min, long max)
    {
        json.Read();
        return Integer(ref json, key, min, max);
    }

    private static long Integer(ref Utf8JsonReader json, string key, long min, long max)
    {
        bool isInteger = json.TokenType switch
        {
            JsonTokenType.Number => json.TryGetInt64(out _),
            JsonTokenType.String => long.TryParse(json.GetString(), NumberStyles.Integer, CultureInfo.InvariantCulture, out _),
            _ => false,
        };
        if (!isInteger) throw new BadFieldException(key, $"{key} must be an integer in [{min}, {max}].");
        long value = json.TokenType == JsonTokenType.Number ? json.GetInt64() : long.Parse(json.GetString()!, NumberStyles.Integer, CultureInfo.InvariantCulture);
        return value >= min && value <= max ? value : throw new BadFieldException(key, $"{key} is {value}, outside [{min}, {max}].");
    }

    private static bool ReadFlag(ref Utf8JsonReader json, string key)
    {
        json.Read();
        return json.TokenType is JsonTokenType.True or JsonTokenType.False ? json.GetBoolean() : throw new BadFieldException(key, $"{key} must be true or false.");
    }

    private static string ReadText(ref Utf8JsonReader json, string key, int maxLength)
    {
        Expect(ref json, JsonTokenType.String, key, $"{key} must be a string.");
        string text = json.GetString()!;
        return text.Length <= maxLength ? text : throw new BadFieldException(key, $"{key} has {text.Length} characters, more than {maxLength}.");
    }

    private static Utf8JsonReader Open(in ReadOnlySequence<byte> body)
    {
        Utf8JsonReader json = new(body);
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject) throw new BadFieldException("body", "The body must be a JSON object.");
        return json;
    }

    private static void Close(ref Utf8JsonReader json)
    {
        if (json.Read()) throw new BadFieldException("body", "The body has something after the JSON object.");
    }

    private static bool NextKey(ref Utf8JsonReader json, out string key)
    {
        json.Read();
        bool isKey = json.TokenType == JsonTokenType.PropertyName;
        key = isKey ? json.GetString()! : "";
        return isKey;
    }

    private static T Skip<T>(ref Utf8JsonReader json, T unchanged)
    {
        json.Skip();
        return unchanged;
    }

    private static void Expect(ref Utf8JsonReader json, JsonTokenType type, string key, string message)
    {
        json.Read();
        if (json.TokenType != type) throw new BadFieldException(key, message);
    }

    private static BadFieldException Missing(string key) => new(key, $"{key} is missing.");
}
