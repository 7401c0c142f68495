using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Baton.Serving.Tests")]
