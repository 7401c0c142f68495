using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Baton.Router.Tests")]
