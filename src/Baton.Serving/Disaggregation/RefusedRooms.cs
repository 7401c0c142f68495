using System.Globalization;
using System.Text.Json;
using Baton.Core.Ids;

namespace Baton.Serving.Disaggregation;

/// <summary>Finds the rooms of a request that is refused as a whole, so that the other half can be told about them.</summary>
/// <remarks>Reads what it can and throws nothing: the body is known to be bad. A scalar room of a batch stands for its first sequence only.</remarks>
internal static class RefusedRooms
{
    private const string Field = "bootstrap_room";

    public static IEnumerable<BootstrapRoom> In(JsonElement body)
    {
        if (body.ValueKind != JsonValueKind.Object || !body.TryGetProperty(Field, out JsonElement value)) yield break;
        if (value.ValueKind != JsonValueKind.Array)
        {
            if (TryRead(value, out BootstrapRoom only)) yield return only;
            yield break;
        }
        foreach (JsonElement element in value.EnumerateArray())
        {
            if (TryRead(element, out BootstrapRoom room)) yield return room;
        }
    }

    private static bool TryRead(JsonElement value, out BootstrapRoom room)
    {
        ulong number = 0;
        bool isNumber = value.ValueKind switch
        {
            JsonValueKind.Number => value.TryGetUInt64(out number),
            JsonValueKind.String => ulong.TryParse(value.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out number),
            _ => false,
        };
        bool isRoom = isNumber && number != 0 && BootstrapRoom.IsValid(number);
        room = isRoom ? new BootstrapRoom(number) : default;
        return isRoom;
    }
}
