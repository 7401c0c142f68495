using System.Globalization;
using System.Text.Json;

namespace Baton.Serving.Requests;

/// <summary>Reads the fields of one JSON object. Absent and null are the same; everything else that does not fit is a <see cref="BadRequestException"/>.</summary>
/// <param name="json">An object.</param>
/// <param name="path">What stands before a field's name in messages, such as <c>sampling_params.</c>.</param>
internal readonly struct JsonFields(JsonElement json, string path = "")
{
    private const int QuotedCharacters = 64;

    public string PathOf(string name) => path + name;

    public bool Has(string name) => TryGet(name, out _);

    public bool TryGet(string name, out JsonElement value) => json.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    public bool Flag(string name, bool otherwise = false)
    {
        if (!TryGet(name, out JsonElement value)) return otherwise;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Bad(name, value, "must be true or false"),
        };
    }

    public string? Text(string name, int maxLength = int.MaxValue)
    {
        if (!TryGet(name, out JsonElement value)) return null;
        if (value.ValueKind != JsonValueKind.String) throw Bad(name, value, "must be a string");
        string text = StringOf(name, value);
        return text.Length <= maxLength ? text : throw Bad(name, value, $"must have at most {maxLength} characters, and has {text.Length}");
    }

    public int Integer(string name, int otherwise, int min, int max = int.MaxValue) => OptionalInteger(name, min, max) ?? otherwise;

    public int? OptionalInteger(string name, int min, int max = int.MaxValue) => TryGet(name, out JsonElement value) ? IntegerOf(name, value, min, max) : null;

    /// <param name="isMinAllowed">False: the range is open below.</param>
    public float Number(string name, float otherwise, double min, double max, bool isMinAllowed = true)
    {
        if (!TryGet(name, out JsonElement value)) return otherwise;
        string range = $"must be a number in {(isMinAllowed ? '[' : '(')}{Show(min)}, {Show(max)}]";
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number)) throw Bad(name, value, range);
        bool fits = number <= max && (isMinAllowed ? number >= min : number > min);
        return fits ? (float)number : throw Bad(name, value, range);
    }

    /// <summary>An array's elements, or one element for anything else; nothing when absent.</summary>
    public IEnumerable<(string Name, JsonElement Value)> Elements(string name)
    {
        if (!TryGet(name, out JsonElement value)) yield break;
        if (value.ValueKind != JsonValueKind.Array)
        {
            yield return (name, value);
            yield break;
        }
        int index = 0;
        foreach (JsonElement element in value.EnumerateArray()) yield return ($"{name}[{index++}]", element);
    }

    public int IntegerOf(string name, JsonElement value, int min, int max)
    {
        if (TryInteger(value, out long number) && number >= min && number <= max) return (int)number;
        string range = max == int.MaxValue ? $"must be an integer of at least {min}" : $"must be an integer in [{min}, {max}]";
        throw Bad(name, value, range);
    }

    public string StringOf(string name, JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // A \u escape that is half of a pair: JSON allows to write it and UTF-8 cannot hold it.
            throw new BadRequestException(PathOf(name), $"{PathOf(name)}: holds an escape that is no character (an unpaired surrogate).");
        }
    }

    public BadRequestException Bad(string name, JsonElement value, string problem)
    {
        string raw = value.GetRawText();
        if (raw.Length > QuotedCharacters) raw = raw[..QuotedCharacters] + "...";
        return new BadRequestException(PathOf(name), $"{PathOf(name)}: {problem}, and is {raw}.");
    }

    public BadRequestException Bad(string name, string problem) => new(PathOf(name), $"{PathOf(name)}: {problem}.");

    /// <summary>Whole numbers, also written as 16.0; never through a double when there is no need.</summary>
    public static bool TryInteger(JsonElement value, out long number)
    {
        number = 0;
        if (value.ValueKind != JsonValueKind.Number) return false;
        if (value.TryGetInt64(out number)) return true;
        if (!value.TryGetDouble(out double real) || real != Math.Floor(real) || Math.Abs(real) > 1L << 53) return false;
        number = (long)real;
        return true;
    }

    private static string Show(double bound) => bound.ToString("0.######", CultureInfo.InvariantCulture);
}
