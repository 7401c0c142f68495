using Baton.Core.Requests;
using Baton.Core.Text;
using Baton.Serving.Requests;

namespace Baton.Serving.Output;

/// <summary>The tokens of one sequence as text: joined UTF-8, cut before the first stop string. One reader's; not thread-safe.</summary>
public sealed class Answer
{
    private readonly SamplingOptions _sampling;
    private readonly OutputOptions _output;
    private readonly ITextModel _model;
    private readonly IDetokenizer _detokenizer;
    private readonly List<OutputToken> _tokens = [];
    private readonly int _longestStop;
    private char[] _text = new char[256];
    private int _length;

    public Answer(PlannedSequence sequence, ITextModel model)
    {
        (Sequence, _sampling, _output, _model) = (sequence, sequence.Sampling, sequence.Output, model);
        _detokenizer = model.CreateDetokenizer(_output.SkipSpecialTokens);
        foreach (string stop in _output.StopStrings) _longestStop = Math.Max(_longestStop, stop.Length);
    }

    public PlannedSequence Sequence { get; }

    /// <summary>All tokens up to and with the one that ended the answer.</summary>
    public IReadOnlyList<OutputToken> Tokens => _tokens;

    /// <summary>How many characters are certain: what could be the beginning of a stop string is held back.</summary>
    public int VisibleLength { get; private set; }

    public ReadOnlySpan<char> VisibleText => _text.AsSpan(0, VisibleLength);

    /// <summary>The stop string that was found; nothing is taken in after it.</summary>
    public string? MatchedStop { get; private set; }

    /// <summary>Set by <see cref="Finish"/>.</summary>
    public GenerationEnd? End { get; private set; }

    /// <summary>Takes in one token. Tokens after a stop string are dropped.</summary>
    /// <returns>True when this token completed a stop string: the rank should be told to end.</returns>
    public bool Append(in OutputToken token)
    {
        if (MatchedStop is not null || End is not null) return false;
        _tokens.Add(token);
        if (!_output.KeepStop && IsStopToken(token.TokenId)) return false;
        return TakeIn(_detokenizer.Append(token.TokenId));
    }

    /// <summary>The rank's end, with what this side knows better: a stop string is a stop and not an abort.</summary>
    public void Finish(GenerationEnd end)
    {
        if (MatchedStop is null) TakeIn(_detokenizer.Finish());
        VisibleLength = _length;
        // The last token may have been drawn but never sent; what the client got is what is counted, except on prefill, which sends none.
        End = MatchedStop is null ? end : end with { Kind = FinishKind.Stop, StopTokenId = null, Failure = null, CompletionTokens = _tokens.Count };
    }

    private bool TakeIn(string piece)
    {
        if (piece.Length == 0) return false;
        int searchFrom = Math.Max(0, _length - Math.Max(0, _longestStop - 1));
        if (_length + piece.Length > _text.Length) Array.Resize(ref _text, Math.Max(_text.Length * 2, _length + piece.Length));
        piece.CopyTo(_text.AsSpan(_length));
        _length += piece.Length;
        if (FindStop(searchFrom) is { } found)
        {
            MatchedStop = found.Stop;
            _length = VisibleLength = found.Index + (_output.KeepStop ? found.Stop.Length : 0);
            return true;
        }
        VisibleLength = _length - HeldBack();
        return false;
    }

    private (int Index, string Stop)? FindStop(int from)
    {
        (int Index, string Stop)? first = null;
        ReadOnlySpan<char> tail = _text.AsSpan(from, _length - from);
        foreach (string stop in _output.StopStrings)
        {
            int at = tail.IndexOf(stop, StringComparison.Ordinal);
            if (at >= 0 && (first is null || from + at < first.Value.Index)) first = (from + at, stop);
        }
        return first;
    }

    /// <summary>Length of the longest end of the text that a stop string begins with.</summary>
    private int HeldBack()
    {
        for (int length = Math.Min(_length, _longestStop - 1); length > 0; length--)
        {
            ReadOnlySpan<char> end = _text.AsSpan(_length - length, length);
            foreach (string stop in _output.StopStrings)
            {
                if (stop.AsSpan().StartsWith(end, StringComparison.Ordinal)) return length;
            }
        }
        return 0;
    }

    /// <summary>The same rule as the scheduler's: such a token ends the answer and is no text.</summary>
    private bool IsStopToken(int token)
    {
        if (_sampling.IgnoreEos || _tokens.Count < _sampling.MinNewTokens) return false;
        return _model.IsEndOfGeneration(token) || _sampling.StopTokenIds.Contains(token);
    }
}
