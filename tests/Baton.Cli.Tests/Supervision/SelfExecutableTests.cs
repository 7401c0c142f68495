using Baton.Cli.Supervision;

namespace Baton.Cli.Tests.Supervision;

public sealed class SelfExecutableTests
{
    [Theory]
    [InlineData("/usr/share/dotnet/dotnet")]
    [InlineData("/opt/tools/dotnet.exe")]
    public void Under_the_dotnet_host_the_children_get_the_assembly_as_their_first_argument(string host)
    {
        SelfExecutable self = SelfExecutable.From(host, "/app/baton.dll");

        Assert.Equal(host, self.FileName);
        Assert.Equal(["/app/baton.dll"], self.LeadingArguments);
    }

    [Theory]
    [InlineData("/app/baton")]
    [InlineData("/app/baton.exe")]
    public void A_program_with_its_own_executable_starts_that(string program)
    {
        SelfExecutable self = SelfExecutable.From(program, "/app/baton.dll");

        Assert.Equal(program, self.FileName);
        Assert.Empty(self.LeadingArguments);
    }
}
