using System.CommandLine;
using System.Globalization;
using System.Numerics;
using Baton.Router;

namespace Baton.Cli.Commands;

/// <summary>Flags that each know their place in <see cref="RouterOptions"/>: where their default comes from, and where their value goes.</summary>
internal sealed class RouterFlagList
{
    private static readonly RouterOptions Defaults = new();
    private readonly List<Option> _all = [];
    private readonly List<Func<ParseResult, RouterOptions, RouterOptions>> _binds = [];

    public IReadOnlyList<Option> All => _all;

    /// <summary>The options that a command line asks for.</summary>
    /// <exception cref="FormatException">A value that no single flag's rule could refuse.</exception>
    public RouterOptions Read(ParseResult parse) => _binds.Aggregate(Defaults, (options, bind) => bind(parse, options));

    public T Add<T>(T option)
        where T : Option
    {
        _all.Add(option);
        return option;
    }

    public void Bind<T>(Option<T> option, Func<RouterOptions, T, RouterOptions> set) => _binds.Add((parse, options) => set(options, parse.GetValue(option)!));

    /// <summary>A number within a range; what lies outside is refused by name.</summary>
    public Option<T> Number<T>(string name, string description, T min, T max, Func<RouterOptions, T> get, Func<RouterOptions, T, RouterOptions> set)
        where T : struct, INumber<T>
    {
        Option<T> option = Add(new Option<T>(name) { Description = description, DefaultValueFactory = _ => get(Defaults) });
        option.Validators.Add(given =>
        {
            // What is no number at all has its own message.
            if (given.Tokens.Count == 1 && T.TryParse(given.Tokens[0].Value, CultureInfo.CurrentCulture, out T value) && !(value >= min && value <= max))
                given.AddError($"{name} is {value}: give {min} to {max}.");
        });
        Bind(option, set);
        return option;
    }

    public Option<string?> Text(string name, string description, Func<RouterOptions, string?> get, Func<RouterOptions, string?, RouterOptions> set)
    {
        Option<string?> option = Add(new Option<string?>(name) { Description = description });
        if (get(Defaults) is { } value) option.DefaultValueFactory = _ => value;
        Bind(option, set);
        return option;
    }

    public Option<string[]> Texts(string name, string description, bool severalPerFlag = false) =>
        Add(new Option<string[]>(name) { Description = description, AllowMultipleArgumentsPerToken = severalPerFlag });

    public Option<bool> Switch(string name, string description) => Add(new Option<bool>(name) { Description = description });

    /// <summary>A flag that is there or not; the last one that speaks of a setting wins.</summary>
    public void Switch(string name, string description, Func<RouterOptions, RouterOptions> on) => Bind(Switch(name, description), (options, isOn) => isOn ? on(options) : options);

    /// <summary>One of some words; the first is the default.</summary>
    public void Choice<T>(string name, string description, (string Word, T Value)[] among, Func<RouterOptions, T, RouterOptions> set)
    {
        Option<string> option = Add(new Option<string>(name) { Description = description, DefaultValueFactory = _ => among[0].Word });
        option.Among([.. among.Select(one => one.Word)]);
        Bind(option, (options, word) => set(options, among.First(one => one.Word == word).Value));
    }
}
