using System.Globalization;
using System.Runtime.InteropServices;
using Baton.Router.Bodies;

namespace Baton.Router.Choice;

/// <summary>Prompts that begin alike go to the same candidate, found by a hash of their beginning: no memory of what went where.</summary>
/// <remarks>
/// Of token ids the first <c>--prefix-token-count</c> count, of text four bytes for each of them, as the body has them. The candidate is taken while
/// its load is within <c>--prefix-hash-load-factor</c> of the mean; else the least loaded one.
/// </remarks>
public sealed class PrefixHashPolicy(PolicyOptions options) : IRoutingPolicy
{
    private const int BytesPerToken = 4;
    private readonly HashRing _ring = new(options.VirtualNodes);

    public string Name => "prefix_hash";

    public double? Score(in Candidate candidate, in PolicyRequest request) => candidate.Load;

    public PolicyPick Pick(IReadOnlyList<Candidate> candidates, in PolicyRequest request)
    {
        if (request.Prompt.IsEmpty) return new PolicyPick(Loads.Least(candidates), "no_prompt");
        int owner = _ring.Walk(candidates, KeyOf(request.Prompt.Span)).First();
        if (candidates[owner].Load <= Loads.Bound(candidates, options.PrefixHashLoadFactor)) return new PolicyPick(owner, "ring");
        // Among the others one is always within the bound: they cannot all be above the mean.
        return new PolicyPick(Loads.Least(candidates), "ring_full");
    }

    /// <summary>Sixteen hexadecimal digits.</summary>
    internal string KeyOf(ReadOnlySpan<byte> prompt)
    {
        ulong hash;
        if (PromptIds.Are(prompt))
        {
            uint[] ids = PromptIds.Read(prompt, options.PrefixTokenCount);
            hash = Xxh3.Hash(MemoryMarshal.AsBytes<uint>(ids));
        }
        else
        {
            ReadOnlySpan<byte> text = prompt[0] == '"' ? prompt[1..^1] : prompt;
            hash = Xxh3.Hash(text[..Math.Min(text.Length, BytesPerToken * options.PrefixTokenCount)]);
        }
        return hash.ToString("x16", CultureInfo.InvariantCulture);
    }
}
