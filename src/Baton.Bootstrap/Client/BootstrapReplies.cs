using System.Globalization;
using System.Text.Json;
using Baton.Bootstrap.Registry;
using Baton.Core.Failures;
using Baton.Core.Ids;

namespace Baton.Bootstrap.Client;

/// <summary>Reads the JSON answers of bootstrap servers. Throws <see cref="FormatException"/> for what cannot be meant.</summary>
internal static class BootstrapReplies
{
    public static int Integer(JsonElement json, string key) =>
        json.TryGetProperty(key, out JsonElement value) && TryInteger(value, out int number) ? number : throw new FormatException($"{key} is missing or no integer");

    public static string Text(JsonElement json, string key) =>
        json.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new FormatException($"{key} is missing or no string");

    /// <summary><c>{"room": rank, ..}</c></summary>
    public static RoomQueryReply KnownRooms(JsonElement json, int asked)
    {
        List<KeyValuePair<BootstrapRoom, RoomAnswer>> answers = [];
        AddKnown(json, answers);
        return new RoomQueryReply(answers, Math.Max(0, asked - answers.Count), IsNewWatch: false);
    }

    /// <summary><c>{"known": {..}, "failed": {..}, "pending": n, "new_watch": bool}</c></summary>
    public static RoomQueryReply Query(JsonElement json)
    {
        List<KeyValuePair<BootstrapRoom, RoomAnswer>> answers = [];
        if (json.TryGetProperty("known", out JsonElement known)) AddKnown(known, answers);
        if (json.TryGetProperty("failed", out JsonElement failed))
        {
            foreach (JsonProperty room in failed.EnumerateObject()) answers.Add(new(Room(room.Name), new RoomAnswer(null, Failure(room.Value))));
        }
        bool isNew = json.TryGetProperty("new_watch", out JsonElement fresh) && fresh.ValueKind == JsonValueKind.True;
        return new RoomQueryReply(answers, Integer(json, "pending"), isNew);
    }

    private static void AddKnown(JsonElement json, List<KeyValuePair<BootstrapRoom, RoomAnswer>> answers)
    {
        foreach (JsonProperty room in json.EnumerateObject())
        {
            if (!TryInteger(room.Value, out int rank) || rank < 0) throw new FormatException($"room {room.Name} has the rank {room.Value.GetRawText()}");
            answers.Add(new(Room(room.Name), new RoomAnswer(new DpRank(rank), null)));
        }
    }

    private static RequestFailure Failure(JsonElement json)
    {
        FailureReason reason = FailedRoomText.ReasonOf(Text(json, "reason")) ?? FailureReason.PeerFailed;
        return new RequestFailure(reason, Text(json, "message"));
    }

    private static BootstrapRoom Room(string name) =>
        ulong.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out ulong room) && BootstrapRoom.IsValid(room)
            ? new BootstrapRoom(room)
            : throw new FormatException($"'{name}' is no room");

    private static bool TryInteger(JsonElement value, out int number)
    {
        number = 0;
        return value.ValueKind switch
        {
            JsonValueKind.Number => value.TryGetInt32(out number),
            JsonValueKind.String => int.TryParse(value.GetString(), NumberStyles.Integer, CultureInfo.InvariantCulture, out number),
            _ => false,
        };
    }
}
