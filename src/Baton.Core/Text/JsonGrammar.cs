namespace Baton.Core.Text;

/// <summary>JSON mode: <c>response_format: {"type": "json_object"}</c> becomes this grammar.</summary>
public static class JsonGrammar
{
    /// <summary>One JSON object (RFC 8259), with at most one blank between tokens so that a model cannot fill its budget with spaces.</summary>
    public const string Object = """
        root   ::= object
        value  ::= object | array | string | number | "true" | "false" | "null"
        object ::= "{" ws ( member ( "," ws member )* )? "}" ws?
        member ::= string ":" ws value ws
        array  ::= "[" ws ( value ws ( "," ws value ws )* )? "]"
        string ::= "\"" ( [^"\\\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] ) )* "\""
        number ::= "-"? ( "0" | [1-9] [0-9]* ) ( "." [0-9]+ )? ( [eE] [+-]? [0-9]+ )?
        ws     ::= " "?
        """;
}
