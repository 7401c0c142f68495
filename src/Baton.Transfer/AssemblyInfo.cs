using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Baton.Transfer.Tests")]
