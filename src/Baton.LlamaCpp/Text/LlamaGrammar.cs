using System.Runtime.InteropServices;
using Baton.Core.Sampling;
using Baton.LlamaCpp.Native;

namespace Baton.LlamaCpp.Text;

/// <summary>A GBNF grammar and where one sequence stands in it.</summary>
public sealed unsafe class LlamaGrammar : ITokenConstraint
{
    private const string Root = "root";

    private readonly LlamaTokenizer _tokenizer;
    private readonly SamplerHandle _sampler;

    private LlamaGrammar(LlamaTokenizer tokenizer, SamplerHandle sampler) => (_tokenizer, _sampler) = (tokenizer, sampler);

    /// <summary>Null and the reason in <paramref name="problem"/> when the text is over a limit or the native parser refuses it.</summary>
    public static LlamaGrammar? TryCreate(LlamaTokenizer tokenizer, string grammar, out string? problem)
    {
        problem = GrammarLimits.FindExcess(grammar);
        if (problem is not null) return null;
        ObjectDisposedException.ThrowIf(tokenizer.Model.IsClosed, tokenizer);
        fixed (byte* text = NativeText.ToCString(grammar), root = NativeText.ToCString(Root))
        {
            SamplerHandle sampler = NativeMethods.GrammarInit(tokenizer.Vocabulary, text, root);
            if (!sampler.IsInvalid)
            {
                sampler.Hold(tokenizer.Model);
                return new LlamaGrammar(tokenizer, sampler);
            }
            sampler.Dispose();
        }
        problem = "The grammar is not valid GBNF with a rule named \"root\" that does not refer to itself at its left end.";
        return null;
    }

    public bool Allows(int token)
    {
        if (!_tokenizer.Contains(token)) return false;
        TokenData candidate = new() { Id = token, Logit = 0 };
        Apply(&candidate, 1);
        return !float.IsNegativeInfinity(candidate.Logit);
    }

    public void Mask(Span<float> logits)
    {
        TokenData* candidates = (TokenData*)NativeMemory.Alloc((nuint)logits.Length, (nuint)sizeof(TokenData));
        try
        {
            for (int token = 0; token < logits.Length; token++) candidates[token] = new TokenData { Id = token, Logit = 0 };
            Apply(candidates, logits.Length);
            // The library may reorder candidates, so the id says which logit is meant.
            for (int index = 0; index < logits.Length; index++)
                if (float.IsNegativeInfinity(candidates[index].Logit)) logits[candidates[index].Id] = float.NegativeInfinity;
        }
        finally
        {
            NativeMemory.Free(candidates);
        }
    }

    public void Accept(int token)
    {
        // Checked again here although callers have asked: a forbidden token is an uncaught C++ exception.
        if (!Allows(token)) throw new ArgumentException($"Token {token} is not allowed here by the grammar.", nameof(token));
        NativeMethods.SamplerAccept(_sampler.DangerousGetHandle(), token);
        GC.KeepAlive(_sampler);
    }

    public void Dispose() => _sampler.Dispose();

    private void Apply(TokenData* candidates, int count)
    {
        TokenDataArray array = new() { Data = candidates, Count = (nuint)count, Selected = -1, Sorted = 0 };
        ObjectDisposedException.ThrowIf(_sampler.IsClosed, this);
        NativeMethods.SamplerApply(_sampler.DangerousGetHandle(), &array);
        GC.KeepAlive(_sampler);
    }
}
