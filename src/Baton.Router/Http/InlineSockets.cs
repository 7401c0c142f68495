namespace Baton.Router.Http;

/// <summary>Lets what follows a socket's completion run where the completion is noticed, without a hop to another thread.</summary>
/// <remarks>
/// A router does little between two socket operations and never blocks in between, so the hop costs more than the work. It is a setting
/// of the whole process and read with its first socket: a program that routes turns it on as its first step.
/// </remarks>
public static class InlineSockets
{
    private const string Variable = "DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS";

    /// <summary>Turns it on, unless the environment says otherwise.</summary>
    public static void Enable()
    {
        if (Environment.GetEnvironmentVariable(Variable) is null) Environment.SetEnvironmentVariable(Variable, "1");
    }
}
