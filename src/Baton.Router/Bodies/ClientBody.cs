using System.Text;
using System.Text.Json;
using Baton.Router.Choice;

namespace Baton.Router.Bodies;

/// <summary>A client's JSON body, read once: its facts, and which of its bytes go on to the workers as they are.</summary>
/// <remarks>
/// Unknown members must survive byte for byte, so nothing is deserialised: the reader notes where members that are ours begin
/// and end, and <see cref="LegBody"/> copies what lies between them.
/// </remarks>
public sealed class ClientBody
{
    private readonly List<Range> _kept;
    private readonly Range _sampleCount;
    private readonly Range _seed;
    private readonly Range _model;
    private readonly Range _rid;
    private readonly Range _routedRank, _oldRank, _prefillRank;

    internal ClientBody(ReadOnlyMemory<byte> utf8, RequestFacts facts, List<Range> kept, Marks marks)
    {
        Utf8 = utf8;
        Facts = facts;
        _kept = kept;
        (_sampleCount, _seed, _model, _rid) = (marks.SampleCount, marks.Seed, marks.Model, marks.Rid);
        (_routedRank, _oldRank, _prefillRank) = (marks.RoutedRank, marks.OldRank, marks.PrefillRank);
        PromptRange = marks.Prompt;
        ToolsRange = marks.Tools;
    }

    /// <summary>Where the values that the router may have to replace lie; an empty range when the body has none.</summary>
    internal struct Marks
    {
        public Range SampleCount, Seed, Model, Rid, Prompt, Tools, RoutedRank, OldRank, PrefillRank;
    }

    /// <summary>The body as it came. Borrowed: the buffer's owner keeps it alive until both legs are written.</summary>
    public ReadOnlyMemory<byte> Utf8 { get; }

    public RequestFacts Facts { get; }

    /// <summary>The raw JSON of <c>text</c>, <c>prompt</c>, <c>input_ids</c> or <c>messages</c>; empty when there is none.</summary>
    public Range PromptRange { get; }

    /// <summary>The raw JSON of <c>tools</c>; empty when there is none.</summary>
    public Range ToolsRange { get; }

    /// <summary>The rank that the body asks decode (or a unified worker) for: <c>routed_dp_rank</c>, or its older name.</summary>
    public AskedRank? AskedRank => Asked("routed_dp_rank", _routedRank) ?? Asked("data_parallel_rank", _oldRank);

    /// <summary>The rank that the body asks prefill for.</summary>
    public AskedRank? AskedPrefillRank => Asked("disagg_prefill_dp_rank", _prefillRank);

    /// <summary>Runs of bytes to copy, in order; each starts at a member's name and ends after a member's value.</summary>
    public IReadOnlyList<Range> Kept => _kept;

    public bool HasSampleCount => !IsEmpty(_sampleCount);

    public bool HasSeed => !IsEmpty(_seed);

    /// <summary>The edits that turn this body into sample <paramref name="sample"/> of <c>n</c> singles.</summary>
    public ByteEdits EditsForSample(int sample)
    {
        ByteEdits edits = new();
        if (HasSampleCount) edits.Replace(_sampleCount, "1"u8.ToArray());
        if (HasSeed && Facts.Seed is { } seed) edits.Replace(_seed, Encoding.UTF8.GetBytes(unchecked(seed + sample).ToString()));
        if (sample > 0 && Facts.RequestId is { } rid && !IsEmpty(_rid))
            edits.Replace(_rid, JsonSerializer.SerializeToUtf8Bytes($"{rid}_{sample}", RouterJson.Default.String));
        return edits;
    }

    /// <summary>The edit that makes the body name the worker's own model instead of an alias.</summary>
    public void ReplaceModel(ByteEdits edits, string model)
    {
        if (!IsEmpty(_model)) edits.Replace(_model, JsonSerializer.SerializeToUtf8Bytes(model, RouterJson.Default.String));
    }

    private AskedRank? Asked(string field, Range value) =>
        IsEmpty(value) || Utf8.Span[value].SequenceEqual("null"u8) ? null : new AskedRank(field, Encoding.UTF8.GetString(Utf8.Span[value]));

    private static bool IsEmpty(Range range) => range.Start.Value == range.End.Value;
}
