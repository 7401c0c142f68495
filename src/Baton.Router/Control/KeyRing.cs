using System.Security.Cryptography;
using System.Text;

namespace Baton.Router.Control;

/// <summary>Bearer keys, compared in constant time by their hashes, so neither length nor a common prefix shows.</summary>
/// <param name="keys">Each <c>key</c> or <c>tenant:key</c>.</param>
public sealed class KeyRing(IEnumerable<string> keys)
{
    private readonly (string? Tenant, byte[] Hash)[] _keys = [.. keys.Select(Parse)];

    public bool IsEmpty => _keys.Length == 0;

    /// <summary>Whether an <c>Authorization</c> header carries one of the keys; every key is compared, whichever matches.</summary>
    /// <param name="tenant">Of the key that matched, or null.</param>
    public bool Admits(string? authorization, out string? tenant)
    {
        tenant = null;
        if (IsEmpty) return true;
        if (authorization is null || !authorization.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)) return false;
        byte[] given = SHA256.HashData(Encoding.UTF8.GetBytes(authorization[7..].Trim()));
        bool found = false;
        foreach ((string? name, byte[] hash) in _keys)
        {
            if (!CryptographicOperations.FixedTimeEquals(given, hash)) continue;
            (found, tenant) = (true, name);
        }
        return found;
    }

    private static (string?, byte[]) Parse(string key)
    {
        int colon = key.IndexOf(':', StringComparison.Ordinal);
        return (colon > 0 ? key[..colon] : null, SHA256.HashData(Encoding.UTF8.GetBytes(key[(colon + 1)..])));
    }
}
