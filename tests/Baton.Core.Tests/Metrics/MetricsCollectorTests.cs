using System.Diagnostics.Metrics;
using Baton.Core.Metrics;
using Baton.Testing;

namespace Baton.Core.Tests.Metrics;

public sealed class MetricsCollectorTests
{
    private static readonly object Answered = 200;

    [Fact]
    public void Recording_a_known_combination_of_tags_allocates_nothing()
    {
        using Meter meter = new("test");
        using MetricsCollector collector = new(m => m == meter);
        Counter<long> counter = meter.CreateCounter<long>("requests");
        Histogram<double> histogram = meter.CreateHistogram<double>("took");
        Record();

        int records = 1;
        long allocated = Allocations.PerWindow(() =>
        {
            for (int i = 0; i < 1000; i++, records++) Record();
        });

        Assert.Equal(0, allocated);
        Assert.Equal(records, collector.Collect().Single(m => m.Name == "requests").Points.Single().Value);

        void Record()
        {
            counter.Add(1, new("path", "/generate"), new("status", Answered));
            histogram.Record(0.3, new KeyValuePair<string, object?>("path", "/generate"));
        }
    }

    [Fact]
    public void Measurements_of_many_threads_add_up()
    {
        using Meter meter = new("test");
        using MetricsCollector collector = new(m => m == meter);
        Histogram<double> histogram = meter.CreateHistogram<double>("took");

        Parallel.For(0, 4, thread =>
        {
            for (int i = 0; i < 5000; i++) histogram.Record(i % 2 == 0 ? 0.005 : 0.3, new KeyValuePair<string, object?>("worker", i % 50), new KeyValuePair<string, object?>("kind", "x"));
        });
        IReadOnlyList<MetricPoint> points = collector.Collect().Single().Points;

        Assert.Equal(50, points.Count);
        Assert.Equal(20_000, points.Sum(p => p.Count));
        Assert.Equal(10_000 * 0.005 + 10_000 * 0.3, points.Sum(p => p.Value), 6);
        // The bound itself belongs to its bucket, and buckets count everything below.
        Assert.Equal(10_000, points.Sum(p => p.Buckets![0]));
        Assert.Equal(20_000, points.Sum(p => p.Buckets![^1]));
    }

    [Fact]
    public void The_same_tags_in_another_order_are_one_series()
    {
        using Meter meter = new("test");
        using MetricsCollector collector = new(m => m == meter);
        Counter<int> counter = meter.CreateCounter<int>("requests");

        counter.Add(1, new KeyValuePair<string, object?>("a", 1), new("b", 2));
        counter.Add(2, new KeyValuePair<string, object?>("b", 2), new("a", 1));

        MetricPoint point = Assert.Single(collector.Collect().Single().Points);
        Assert.Equal(("a=\"1\",b=\"2\"", 3), (point.Labels, point.Value));
    }

    [Fact]
    public void Combinations_beyond_the_limit_are_dropped_counted_and_told_once()
    {
        List<string> told = [];
        using Meter meter = new("test");
        using MetricsCollector collector = new(m => m == meter, maxSeries: 3, told.Add);
        Counter<int> counter = meter.CreateCounter<int>("requests");
        meter.CreateCounter<int>("others").Add(1);

        for (int i = 0; i < 5; i++) counter.Add(1, new KeyValuePair<string, object?>("i", i));

        Assert.Equal(3, collector.Collect().Single(m => m.Name == "requests").Points.Count);
        Assert.Equal([("requests", 2)], collector.Dropped);
        Assert.Equal(["requests"], told);
    }

    [Fact]
    public void A_scrape_does_not_clear_what_another_one_is_reading()
    {
        using Meter meter = new("test");
        using ManualResetEventSlim cleared = new(), read = new();
        Thread? other = null;
        int firstCalls = 0, secondCalls = 0;
        MetricsCollector? scraped = null;
        meter.CreateObservableGauge("first", () =>
        {
            // The second scrape has cleared by now, and stays here until the first one is through.
            if (++firstCalls == 2)
            {
                cleared.Set();
                read.Wait(TimeSpan.FromSeconds(30));
            }
            return 1;
        });
        meter.CreateObservableGauge("second", () =>
        {
            if (++secondCalls > 1) return 2;
            other = new Thread(() => scraped!.Collect());
            other.Start();
            // In vain when one scrape waits for the other.
            cleared.Wait(TimeSpan.FromMilliseconds(200));
            return 2;
        });
        using MetricsCollector collector = new(m => m == meter);
        scraped = collector;

        IReadOnlyList<MetricSnapshot> metrics = collector.Collect();
        read.Set();
        other!.Join();

        Assert.Equal([1, 1], metrics.Select(m => m.Points.Count));
    }
}
