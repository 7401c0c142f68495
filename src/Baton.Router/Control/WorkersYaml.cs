using System.Buffers;
using System.Text;
using System.Text.Json;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Baton.Router.Control;

/// <summary>The workers file as YAML: the same keys as in JSON, with the line of every field.</summary>
internal static class WorkersYaml
{
    // A worker is a flat thing; an alias that names its own parent would never end.
    private const int MaxDepth = 8;

    /// <exception cref="FormatException">Not YAML, or no list of workers.</exception>
    public static IEnumerable<WorkersFile.Entry> Read(string file, byte[] utf8)
    {
        YamlNode root = Parse(file, utf8);
        YamlNode list = root is YamlMappingNode map && Find(map, "workers") is { } inner ? inner : root;
        // "workers:" with nothing behind it is an empty list that somebody emptied.
        if (list is YamlScalarNode { Value: null or "" } && list != root) return [];
        if (list is not YamlSequenceNode workers) throw WorkersFile.NoList(file, LineOf(list));
        return [.. workers.Children.Select(node => new WorkersFile.Entry(ToJson(file, node), LineOf(node), LinesOf(node)))];
    }

    private static YamlNode Parse(string file, byte[] utf8)
    {
        try
        {
            YamlStream stream = new();
            using StringReader text = new(Encoding.UTF8.GetString(utf8).TrimStart('\uFEFF'));
            stream.Load(text);
            if (stream.Documents.Count == 1) return stream.Documents[0].RootNode;
            throw new FormatException($"{file}: there are {stream.Documents.Count} YAML documents and not one. No workers at all are written [].");
        }
        catch (YamlException e)
        {
            throw new FormatException($"{file}, line {e.Start.Line}: {e.Message}", e);
        }
    }

    private static YamlNode? Find(YamlMappingNode map, string key) =>
        map.Children.FirstOrDefault(pair => pair.Key is YamlScalarNode { Value: { } name } && name == key).Value;

    private static Dictionary<string, int> LinesOf(YamlNode node) => node is YamlMappingNode map
        ? map.Children.Keys.OfType<YamlScalarNode>().ToDictionary(key => key.Value ?? "", LineOf, StringComparer.Ordinal) : [];

    private static int LineOf(YamlNode node) => (int)node.Start.Line;

    private static byte[] ToJson(string file, YamlNode node)
    {
        ArrayBufferWriter<byte> utf8 = new();
        using (Utf8JsonWriter json = new(utf8)) Write(json, file, node, depth: 0, isText: false);
        return utf8.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, string file, YamlNode node, int depth, bool isText)
    {
        if (depth > MaxDepth) throw new FormatException($"{file}, line {LineOf(node)}: nothing about a worker is nested that deep.");
        switch (node)
        {
            case YamlMappingNode map:
                json.WriteStartObject();
                foreach ((YamlNode key, YamlNode value) in map.Children)
                {
                    string name = (key as YamlScalarNode)?.Value ?? throw new FormatException($"{file}, line {LineOf(key)}: a key must be a word.");
                    json.WritePropertyName(name);
                    // A label's value is a word, whatever it looks like.
                    Write(json, file, value, depth + 1, isText || name == "labels");
                }
                json.WriteEndObject();
                break;
            case YamlSequenceNode list:
                json.WriteStartArray();
                foreach (YamlNode element in list.Children) Write(json, file, element, depth + 1, isText);
                json.WriteEndArray();
                break;
            default:
                WriteScalar(json, (YamlScalarNode)node, isText);
                break;
        }
    }

    // Numbers stay text: who reads them knows whether 8998 is a port or the value of a label.
    private static void WriteScalar(Utf8JsonWriter json, YamlScalarNode scalar, bool isText)
    {
        bool isPlain = !isText && scalar.Style is ScalarStyle.Plain or ScalarStyle.Any;
        switch (scalar.Value)
        {
            case null or "" or "~" or "null" when isPlain:
                json.WriteNullValue();
                break;
            case "true" or "false" when isPlain:
                json.WriteBooleanValue(scalar.Value == "true");
                break;
            default:
                json.WriteStringValue(scalar.Value ?? "");
                break;
        }
    }
}
