using Baton.Core.Ids;
using Baton.Router.Control;
using Baton.Router.Legs;
using Baton.Router.Workers;
using Baton.Simulation.Clock;
using Microsoft.Extensions.Logging.Abstractions;

namespace Baton.Router.Tests.Control;

public sealed class WorkerLeasesTests : IDisposable
{
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(15), AMoment = TimeSpan.FromTicks(1);
    private static readonly WorkerSpec Decode = new() { Url = new Uri("http://10.0.0.2:30101"), Role = WorkerRole.Decode };
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("baton-leases-");
    private readonly VirtualTimeProvider _time = new();
    private readonly RouterMetrics _metrics;
    private readonly HttpLegTransport _http;
    private readonly FleetControl _control;
    private readonly WorkerLeases _leases;

    public WorkerLeasesTests()
    {
        RouterOptions options = new() { DrainTimeout = TimeSpan.FromSeconds(300), WorkersFile = FilePath };
        PdRouter router = new(options, Fleet, seed: 1);
        _metrics = new RouterMetrics(router, () => 0, _time);
        _http = new HttpLegTransport(options.ConnectTimeout, _time);
        _control = new FleetControl(router, _http, options, _metrics, _time, NullLogger<FleetControl>.Instance);
        _leases = new WorkerLeases(WorkerSource.Lease, _control, Fleet, Length, _metrics, _time, NullLogger<WorkerLeases>.Instance);
    }

    private WorkerFleet Fleet { get; } = new();

    private string FilePath => Path.Combine(_folder.FullName, "workers.json");

    public void Dispose()
    {
        _leases.Dispose();
        _http.Dispose();
        _metrics.Dispose();
        _folder.Delete(recursive: true);
    }

    private void ReadFile(params Uri[] urls)
    {
        File.WriteAllText(FilePath, $"[{string.Join(',', urls.Select(url => $$"""{"url":"{{url}}","worker_type":"decode"}"""))}]");
        Assert.Null(_control.Reload(CancellationToken.None));
    }

    [Fact]
    public void A_lease_lasts_15_s_from_its_last_renewal()
    {
        _leases.Renew(Decode, "one");
        _time.Advance(Length - AMoment);
        (Worker renewed, bool hasLease) = _leases.Renew(Decode, "one")!.Value;
        _time.Advance(Length - AMoment);
        bool isThere = Fleet.Now.All is [{ } only] && only == renewed;
        _time.Advance(AMoment);

        Assert.True(hasLease);
        Assert.True(isThere);
        Assert.Empty(Fleet.Now.All);
    }

    [Fact]
    public void A_worker_that_falls_silent_keeps_its_running_requests_and_goes_with_the_last_one()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        worker.Status = WorkerStatus.Ready;
        worker.Rank(null).Take(1, 10, _time.Now);

        _time.Advance(Length + TimeSpan.FromSeconds(60));
        WorkerStatus silent = worker.Status;
        int known = Fleet.Now.All.Count;
        worker.Rank(null).Return(1);
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal((WorkerStatus.Draining, 1), (silent, known));
        Assert.Empty(Fleet.Now.All);
    }

    [Fact]
    public void A_worker_that_is_heard_of_again_while_it_drains_stays_and_its_health_check_decides()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        worker.Status = WorkerStatus.Ready;
        worker.Rank(null).Take(1, 10, _time.Now);
        _time.Advance(Length + TimeSpan.FromSeconds(5));

        Worker back = _leases.Renew(Decode, "one")!.Value.Worker;
        worker.Rank(null).Return(1);
        _time.Advance(Length - AMoment);

        Assert.Same(worker, back);
        Assert.Equal(WorkerStatus.NotReady, worker.Status);
        Assert.Same(worker, Assert.Single(Fleet.Now.All));
    }

    [Fact]
    public void A_worker_that_says_goodbye_leaves_at_once_and_may_come_again()
    {
        _leases.Renew(Decode, "one");

        bool left = _leases.GiveBack(Decode.Url);
        int after = Fleet.Now.All.Count;
        (Worker again, bool hasLease) = _leases.Renew(Decode, "two")!.Value;
        _time.Advance(Length - AMoment);

        Assert.True(left);
        Assert.Equal(0, after);
        Assert.True(hasLease);
        Assert.Same(again, Assert.Single(Fleet.Now.All));
    }

    [Fact]
    public async Task A_worker_that_an_operator_removed_stays_out_until_its_next_process()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        await _control.RemoveAsync(worker, drain: true, CancellationToken.None);

        (Worker, bool)? refused = _leases.Renew(Decode, "one"), still = _leases.Renew(Decode, "one");
        (Worker, bool)? next = _leases.Renew(Decode, "two");

        Assert.Null(refused);
        Assert.Null(still);
        Assert.NotNull(next);
        Assert.Single(Fleet.Now.All);
    }

    [Fact]
    public void A_worker_that_an_operator_drains_is_not_brought_back_by_a_renewal()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        worker.Status = WorkerStatus.Draining;

        _leases.Renew(Decode, "one");

        Assert.Equal(WorkerStatus.Draining, worker.Status);
    }

    [Fact]
    public void A_renewal_changes_what_the_worker_changed_and_keeps_what_an_operator_changed()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        _control.Change(worker, worker.Spec with { Priority = 7 });

        _leases.Renew(Decode, "one");
        int kept = Fleet.Now.All[0].Spec.Priority;
        _leases.Renew(Decode with { ApiKey = "new" }, "one");
        _leases.Renew(Decode with { Role = WorkerRole.Prefill, BootstrapPort = 8998 }, "two");

        Assert.Equal(7, kept);
        Worker prefill = Assert.Single(Fleet.Now.Prefill);
        Assert.Equal((8998, 1), (prefill.BootstrapPort, Fleet.Now.All.Count));
    }

    [Fact]
    public void A_worker_that_a_flag_gave_needs_no_lease_and_outlives_its_goodbye()
    {
        Fleet.Add(Decode);

        (Worker _, bool hasLease) = _leases.Renew(Decode, "one")!.Value;
        bool left = _leases.GiveBack(Decode.Url);
        _time.Advance(Length + Length);

        Assert.False(hasLease);
        Assert.False(left);
        Assert.Single(Fleet.Now.All);
    }

    [Fact]
    public void Ended_leases_are_counted_by_source_and_goodbyes_are_not()
    {
        using Core.Metrics.MetricsCollector collector = new(_metrics.Owns);
        _leases.Renew(Decode, "one");
        _leases.GiveBack(Decode.Url);
        _leases.Renew(Decode, "two");
        _time.Advance(Length);

        string text = Core.Metrics.PrometheusText.Write(collector.Collect());

        Assert.Contains("baton_discovery_leases_ended_total{source=\"lease\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_discovery_registrations_total{source=\"lease\"} 2\n", text, StringComparison.Ordinal);
        Assert.Contains("baton_discovery_deregistrations_total{source=\"lease\"} 2\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_process_at_the_same_address_starts_with_a_clean_slate()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;

        _leases.Renew(Decode, "one");
        int same = worker.Restarts;
        _leases.Renew(Decode, "two");

        Assert.Equal((0, 1), (same, worker.Restarts));
    }

    [Fact]
    public void A_worker_with_a_lease_that_the_file_names_later_is_the_files()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        ReadFile(Decode.Url);

        _time.Advance(Length + Length);
        bool hasLease = _leases.Renew(Decode, "one")!.Value.HasLease, left = _leases.GiveBack(Decode.Url);
        Worker stayed = Assert.Single(Fleet.Now.All);
        ReadFile();

        Assert.Same(worker, stayed);
        Assert.Equal((WorkerSource.File, false, false), (stayed.Source, hasLease, left));
        Assert.Empty(Fleet.Now.All);
    }

    [Fact]
    public void A_goodbye_does_not_end_what_the_file_names()
    {
        _leases.Renew(Decode, "one");
        ReadFile(Decode.Url);

        bool left = _leases.GiveBack(Decode.Url);

        Assert.False(left);
        Assert.NotEqual(WorkerStatus.Draining, Assert.Single(Fleet.Now.All).Status);
    }

    [Fact]
    public void A_worker_that_the_file_names_while_it_drains_stays_and_its_health_check_decides()
    {
        Worker worker = _leases.Renew(Decode, "one")!.Value.Worker;
        worker.Status = WorkerStatus.Ready;
        worker.Rank(null).Take(1, 10, _time.Now);
        _time.Advance(Length + TimeSpan.FromSeconds(5));
        WorkerStatus silent = worker.Status;

        ReadFile(Decode.Url);
        worker.Rank(null).Return(1);
        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal((WorkerStatus.Draining, WorkerStatus.NotReady), (silent, worker.Status));
        Assert.Same(worker, Assert.Single(Fleet.Now.All));
    }
}
