using System.Diagnostics;
using System.Numerics.Tensors;
using Baton.Core.Requests;

namespace Baton.Core.Sampling;

public enum SampleStatus
{
    Drawn,
    /// <summary>A logit is NaN or infinite: the sequence's KV or the model is bad.</summary>
    NotFinite,
    /// <summary>Grammar, bias and masks together leave nothing to draw.</summary>
    NothingAllowed,
}

/// <summary>One draw. <paramref name="Logprob"/> and <paramref name="TopLogprobs"/> are set when the options ask for them.</summary>
public readonly record struct SampleOutcome(SampleStatus Status, int Token, float Logprob, IReadOnlyList<TokenLogprob>? TopLogprobs);

/// <summary>Draws the tokens of one sequence and remembers what penalties and grammar need.</summary>
/// <remarks>
/// Order: frequency and presence penalty, repetition penalty, bias, end tokens before min_new_tokens; temperature; then top-k, top-p and
/// min-p, each of which keeps the first so many tokens in order of probability, so the shortest of the three decides (top-p counts
/// unfiltered probability, as SGLang's own sampler does); then one draw with the random bits of (seed, position). A grammar is asked
/// about the drawn token; only when it says no, the whole vocabulary is masked and drawn from again, with other bits: that is exactly
/// the distribution over the allowed tokens. Log probabilities are of the raw logits, before all of this.
/// Without bias, penalties, masks and grammar nothing is copied, and nothing is allocated unless log probabilities are asked for.
/// </remarks>
public sealed class TokenSampler : IDisposable
{
    private const float GreedyBelow = 1e-6f;
    private const int SecondDraw = 1;

    private readonly SamplingOptions _options;
    private readonly SamplerScratch _scratch;
    private readonly IReadOnlyList<int> _endTokens;
    private readonly ITokenConstraint? _constraint;
    private readonly Dictionary<int, int>? _outputCounts;
    private readonly HashSet<int>? _seen;
    private readonly KeyValuePair<int, float>[] _bias;

    /// <param name="options">Validated: finite numbers, bias of known tokens only.</param>
    /// <param name="scratch">The rank's; not used between calls.</param>
    /// <param name="endTokens">The model's end-of-generation tokens.</param>
    /// <param name="constraint">Owned and disposed by this sampler; null for none.</param>
    public TokenSampler(SamplingOptions options, SamplerScratch scratch, IReadOnlyList<int> endTokens, ITokenConstraint? constraint)
    {
        (_options, _scratch, _endTokens, _constraint) = (options, scratch, endTokens, constraint);
        if (options.FrequencyPenalty != 0 || options.PresencePenalty != 0) _outputCounts = [];
        if (options.RepetitionPenalty != 1) _seen = [];
        // An array: walking the interface would allocate an enumerator at every token.
        _bias = options.LogitBias is { } bias ? [.. bias.Where(entry => Exists(entry.Key))] : [];
    }

    /// <summary>Output tokens so far, those drawn elsewhere included.</summary>
    public int OutputCount { get; private set; }

    public SamplingOptions Options => _options;

    /// <summary>Takes note of the prompt and of tokens that were drawn elsewhere.</summary>
    /// <returns>Null, or which token cannot be: outside the vocabulary, or against the grammar.</returns>
    public string? Start(ReadOnlySpan<int> prompt, ReadOnlySpan<int> generated)
    {
        if (_seen is not null)
        {
            foreach (int token in prompt)
            {
                if (!Exists(token)) return $"prompt token {token} is outside the vocabulary of {_scratch.VocabSize}";
                _seen.Add(token);
            }
        }
        foreach (int token in generated)
        {
            if (!Exists(token)) return $"token {token}, drawn elsewhere, is outside the vocabulary of {_scratch.VocabSize}";
            if (_constraint is not null && !_constraint.Allows(token)) return $"token {token}, drawn elsewhere, is not allowed by the grammar";
            Take(token);
        }
        return null;
    }

    /// <summary>Draws the token at <paramref name="position"/>.</summary>
    /// <param name="logits">One per token of the vocabulary; not changed.</param>
    /// <param name="position">In the sequence: with the seed it decides the random bits.</param>
    public SampleOutcome Sample(ReadOnlySpan<float> logits, int position)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(logits.Length, _scratch.VocabSize);
        bool isGreedy = _options.Temperature < GreedyBelow;
        int token;
        if (!ChangesLogits)
        {
            // One pass finds the winner and any NaN: IndexOfMax stops at the first.
            int largest = TensorPrimitives.IndexOfMax(logits);
            if (!float.IsFinite(logits[largest])) return new SampleOutcome(SampleStatus.NotFinite, -1, float.NaN, null);
            token = isGreedy ? largest : Draw(logits, logits[largest], position, stream: 0);
        }
        else
        {
            if (!float.IsFinite(TensorPrimitives.Max(logits))) return new SampleOutcome(SampleStatus.NotFinite, -1, float.NaN, null);
            ChangeLogits(logits);
            token = Pick(isGreedy, position, stream: 0);
        }

        if (token >= 0 && _constraint is not null && !_constraint.Allows(token))
        {
            if (!ChangesLogits) logits.CopyTo(_scratch.Logits);
            _constraint.Mask(_scratch.Logits);
            token = Pick(isGreedy, position, SecondDraw);
        }
        if (token < 0) return new SampleOutcome(SampleStatus.NothingAllowed, -1, float.NaN, null);
        Take(token);
        return Describe(logits, token);
    }

    /// <summary>Natural log of the probability of <paramref name="token"/> under raw logits.</summary>
    public static float LogProbability(ReadOnlySpan<float> logits, int token, SamplerScratch scratch) => logits[token] - LogSumExp(logits, scratch);

    public void Dispose() => _constraint?.Dispose();

    private bool ChangesLogits => _outputCounts is not null || _seen is not null || _bias.Length > 0 || OutputCount < _options.MinNewTokens;

    private bool Exists(int token) => (uint)token < (uint)_scratch.VocabSize;

    private void Take(int token)
    {
        OutputCount++;
        if (_outputCounts is not null) _outputCounts[token] = _outputCounts.GetValueOrDefault(token) + 1;
        _seen?.Add(token);
        _constraint?.Accept(token);
    }

    private void ChangeLogits(ReadOnlySpan<float> raw)
    {
        Span<float> logits = _scratch.Logits;
        raw.CopyTo(logits);
        if (_outputCounts is not null)
            foreach ((int token, int count) in _outputCounts)
                logits[token] -= (_options.FrequencyPenalty * count) + _options.PresencePenalty;
        if (_seen is not null)
            foreach (int token in _seen)
                logits[token] = logits[token] > 0 ? logits[token] / _options.RepetitionPenalty : logits[token] * _options.RepetitionPenalty;
        foreach ((int token, float value) in _bias) logits[token] += value;
        if (OutputCount < _options.MinNewTokens)
        {
            for (int index = 0; index < _endTokens.Count; index++) logits[_endTokens[index]] = float.NegativeInfinity;
            for (int index = 0; index < _options.StopTokenIds.Count; index++)
                if (Exists(_options.StopTokenIds[index])) logits[_options.StopTokenIds[index]] = float.NegativeInfinity;
        }
    }

    /// <summary>From the changed logits; -1 when all are masked.</summary>
    private int Pick(bool isGreedy, int position, int stream)
    {
        ReadOnlySpan<float> logits = _scratch.Logits;
        int largest = TensorPrimitives.IndexOfMax(logits);
        if (!float.IsFinite(logits[largest])) return -1;
        return isGreedy ? largest : Draw(logits, logits[largest], position, stream);
    }

    private int Draw(ReadOnlySpan<float> logits, float largest, int position, int stream)
    {
        Span<float> weights = _scratch.Weights;
        TensorPrimitives.Subtract(logits, largest, weights);
        TensorPrimitives.Divide(weights, _options.Temperature, weights);
        TensorPrimitives.Exp(weights, weights);
        double uniform = CounterRandom.Uniform(_options.Seed, position, stream);
        bool keepsAll = _options.TopK <= 0 && _options.TopP >= 1 && _options.MinP <= 0;
        return keepsAll ? DrawFromAll(weights, uniform) : DrawFromFirst(weights, uniform);
    }

    private static int DrawFromAll(ReadOnlySpan<float> weights, double uniform)
    {
        const int Block = 1024;
        double total = 0;
        for (int start = 0; start < weights.Length; start += Block) total += TensorPrimitives.Sum(weights.Slice(start, Math.Min(Block, weights.Length - start)));

        double left = uniform * total;
        int last = 0;
        for (int start = 0; start < weights.Length; start += Block)
        {
            ReadOnlySpan<float> block = weights.Slice(start, Math.Min(Block, weights.Length - start));
            double mass = TensorPrimitives.Sum(block);
            if (left >= mass && start + Block < weights.Length)
            {
                left -= mass;
                continue;
            }
            for (int index = 0; index < block.Length; index++)
            {
                if (block[index] <= 0) continue;
                last = start + index;
                left -= block[index];
                if (left < 0) return last;
            }
        }
        // Rounding can leave a crumb beyond the last token that has any weight.
        return last;
    }

    private int DrawFromFirst(ReadOnlySpan<float> weights, double uniform)
    {
        double massLimit = _options.TopP >= 1 ? double.PositiveInfinity : _options.TopP * (double)TensorPrimitives.Sum(weights);
        int countLimit = _options.TopK > 0 ? _options.TopK : int.MaxValue;
        Span<ulong> candidates = Collect(weights, massLimit, countLimit);
        ReadOnlySpan<ulong> ranked = RankedTokens.TakeBest(candidates, countLimit);

        int kept = 0;
        double mass = 0;
        while (kept < ranked.Length && mass <= massLimit) mass += weights[RankedTokens.Token(ranked[kept++])];
        double left = uniform * mass;
        for (int index = 0; index < kept - 1; index++)
        {
            left -= weights[RankedTokens.Token(ranked[index])];
            if (left < 0) return RankedTokens.Token(ranked[index]);
        }
        return RankedTokens.Token(ranked[kept - 1]);
    }

    /// <summary>A superset of the tokens that can be kept, small where the distribution is peaked, so that little has to be sorted.</summary>
    private Span<ulong> Collect(ReadOnlySpan<float> weights, double massLimit, int countLimit)
    {
        ReadOnlySpan<float> floors = [1e-2f, 1e-4f, 1e-7f, 0];
        foreach (float floor in floors)
        {
            float least = Math.Max(floor, Math.Min(_options.MinP, 1));
            int count = 0;
            double mass = 0;
            for (int token = 0; token < weights.Length; token++)
            {
                float weight = weights[token];
                if (weight < least || weight <= 0) continue;
                _scratch.Keys[count++] = RankedTokens.Key(weight, token);
                mass += weight;
            }
            if (count >= countLimit || mass > massLimit || floor <= _options.MinP) return _scratch.Keys.AsSpan(0, count);
        }
        throw new UnreachableException("The last floor is 0 and takes every token.");
    }

    private SampleOutcome Describe(ReadOnlySpan<float> logits, int token)
    {
        if (!_options.ReturnLogprob) return new SampleOutcome(SampleStatus.Drawn, token, float.NaN, null);
        float normalizer = LogSumExp(logits, _scratch);
        TokenLogprob[]? alternatives = null;
        if (_options.TopLogprobs > 0)
        {
            for (int id = 0; id < logits.Length; id++) _scratch.Keys[id] = RankedTokens.Key(logits[id], id);
            ReadOnlySpan<ulong> best = RankedTokens.TakeBest(_scratch.Keys, _options.TopLogprobs);
            alternatives = new TokenLogprob[best.Length];
            for (int index = 0; index < best.Length; index++)
                alternatives[index] = new TokenLogprob(RankedTokens.Token(best[index]), logits[RankedTokens.Token(best[index])] - normalizer);
        }
        return new SampleOutcome(SampleStatus.Drawn, token, logits[token] - normalizer, alternatives);
    }

    private static float LogSumExp(ReadOnlySpan<float> logits, SamplerScratch scratch)
    {
        float largest = TensorPrimitives.Max(logits);
        Span<float> weights = scratch.Weights;
        TensorPrimitives.Subtract(logits, largest, weights);
        TensorPrimitives.Exp(weights, weights);
        return largest + MathF.Log(TensorPrimitives.Sum<float>(weights));
    }
}
