using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Baton.Router.Errors;
using Microsoft.AspNetCore.Http;

namespace Baton.Router.Http;

/// <summary>Whole answers of the router itself.</summary>
internal static class Reply
{
    public static Task JsonAsync<T>(HttpContext context, int status, T value, JsonTypeInfo<T> type) =>
        BytesAsync(context, status, JsonSerializer.SerializeToUtf8Bytes(value, type), "application/json");

    public static Task TextAsync(HttpContext context, int status, string text, string type) => BytesAsync(context, status, Encoding.UTF8.GetBytes(text), type);

    public static Task ErrorAsync(HttpContext context, RouterError error)
    {
        context.Response.Headers["x-baton-error-code"] = error.Code;
        if (error.RetryAfter is { } after) context.Response.Headers.RetryAfter = ((int)Math.Ceiling(after.TotalSeconds)).ToString();
        return BytesAsync(context, error.Status, error.ToJson(), "application/json");
    }

    public static async Task BytesAsync(HttpContext context, int status, ReadOnlyMemory<byte> body, string type)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;
        await context.Response.BodyWriter.WriteAsync(body, context.RequestAborted);
    }

    /// <summary>A small request body, whole.</summary>
    /// <exception cref="FormatException">Longer than <paramref name="limit"/>.</exception>
    public static async Task<byte[]> BodyAsync(HttpContext context, int limit)
    {
        using MemoryStream body = new();
        byte[] buffer = new byte[8192];
        while (await context.Request.Body.ReadAsync(buffer, context.RequestAborted) is var read and > 0)
        {
            if (body.Length + read > limit) throw new FormatException($"The body is longer than {limit} bytes.");
            body.Write(buffer, 0, read);
        }
        return body.ToArray();
    }
}
