namespace Baton.Bench.Tests.Scripted;

/// <summary>SSE text as servers send it.</summary>
internal static class Events
{
    public const string Done = "data: [DONE]\n\n";

    public static string Native(int completionTokens, string text = "word", string finish = "null", string meta = "") =>
        $$"""data: {"text":"{{text}}","meta_info":{"id":"r","finish_reason":{{finish}},"prompt_tokens":7,"completion_tokens":{{completionTokens}}{{meta}} } }""" + "\n\n";

    public static string Completion(string text, string finish = "null") =>
        $$"""data: {"id":"c","choices":[{"index":0,"text":"{{text}}","finish_reason":{{finish}}}],"usage":null}""" + "\n\n";

    public static string Chat(string content) =>
        $$"""data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"{{content}}"},"finish_reason":null}]}""" + "\n\n";

    public static string Usage(int prompt, int completion) =>
        $$"""data: {"id":"c","choices":[],"usage":{"prompt_tokens":{{prompt}},"completion_tokens":{{completion}} } }""" + "\n\n";

    /// <summary>One token an event, with these gaps before each, then <c>[DONE]</c> with the last.</summary>
    public static Script Tokens(params int[] afterMs)
    {
        Piece[] body = new Piece[afterMs.Length];
        for (int i = 0; i < body.Length; i++)
        {
            bool isLast = i == body.Length - 1;
            body[i] = Piece.Text(afterMs[i], Native(i + 1, finish: isLast ? """{"type":"length","length":3}""" : "null") + (isLast ? Done : ""));
        }
        return new Script { Body = body };
    }
}
