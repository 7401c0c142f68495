using System.Net;
using System.Net.Sockets;
using Baton.Cli.Doctor;
using Baton.Testing;

namespace Baton.Cli.Tests.Doctor;

public sealed class MachineChecksTests
{
    [Fact]
    public void A_taken_port_is_bad_and_the_advice_names_the_flag()
    {
        using TcpListener holder = new(IPAddress.Loopback, 0);
        holder.Start();

        DoctorCheck check = MachineChecks.Port(IPAddress.Loopback, ((IPEndPoint)holder.LocalEndpoint).Port);

        Assert.Equal(Verdict.Bad, check.Verdict);
        Assert.Contains("--port", check.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void The_demo_model_is_a_gguf_file()
    {
        DoctorCheck check = MachineChecks.Model(Path.Combine(RepositoryRoot.Path, "models", "demo", "baton-demo.gguf"));

        Assert.Equal(Verdict.Good, check.Verdict);
    }

    [Fact]
    public void A_file_that_is_no_gguf_file_is_bad()
    {
        DoctorCheck check = MachineChecks.Model(Path.Combine(RepositoryRoot.Path, "models", "demo", "README.md"));

        Assert.Equal(Verdict.Bad, check.Verdict);
        Assert.Contains("does not begin with GGUF", check.Finding, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "Warning")]
    [InlineData(2, "Warning")]
    [InlineData(3, "Warning")]
    [InlineData(4, "Good")]
    public void Fewer_cores_than_ranks_are_a_warning(int cores, string expected) =>
        Assert.Equal(expected, MachineChecks.Cores(cores).Verdict.ToString());
}
