using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Baton.Transfer.Tests")]
[assembly: InternalsVisibleTo("Baton.Simulation")]
