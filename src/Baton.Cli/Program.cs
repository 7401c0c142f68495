using System.CommandLine;
using Baton.Cli.Commands;

// One file a command in Commands/; this list is the order of `baton --help`.
RootCommand root = new("Baton: large language models served with prefill and decode on separate, data-parallel workers.");
foreach (Command command in BatonCommands.All()) root.Add(command);
return await root.Parse(args).InvokeAsync();
