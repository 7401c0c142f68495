using System.Collections;
using System.Reflection;
using System.Text;
using Baton.Router;
using Baton.Router.Workers;

namespace Baton.Cli.Commands;

/// <summary>What <c>baton router --print-config</c> prints: every option with the value it would run with. Keys are masked.</summary>
internal static class RouterConfigText
{
    public static string Of(RouterOptions options, IReadOnlyList<WorkerSpec> workers)
    {
        StringBuilder text = new();
        Append(text, options.Effective(), "");
        foreach (WorkerSpec worker in workers)
            text.AppendLine($"worker: {worker.Role.ToString().ToLowerInvariant()} {worker.Url}{(worker.BootstrapPort is { } port ? $" bootstrap {port}" : "")}{(worker.ApiKey is null ? "" : " with a key")}");
        return text.ToString().TrimEnd();
    }

    private static void Append(StringBuilder text, object options, string prefix)
    {
        foreach (PropertyInfo property in options.GetType().GetProperties().Where(p => p.GetIndexParameters().Length == 0 && p.Name != "EqualityContract"))
        {
            object? value = property.GetValue(options);
            string name = prefix + property.Name;
            if (property.Name is "ApiKeys" or "AdminKey") text.AppendLine($"{name}: {(value is null or ICollection { Count: 0 } ? "(none)" : "(set)")}");
            else if (value is not null && value.GetType().Name.EndsWith("Options", StringComparison.Ordinal)) Append(text, value, name + ".");
            else text.AppendLine($"{name}: {Show(value)}");
        }
    }

    private static string Show(object? value) => value switch
    {
        null => "(none)",
        TimeSpan time => $"{time.TotalSeconds} s",
        string text => text,
        IDictionary map => string.Join(", ", map.Keys.Cast<object>().Select(k => $"{k}={map[k]}")),
        IEnumerable list => string.Join(", ", list.Cast<object>()),
        _ => value.ToString()!,
    };
}
