using System.Text.Json.Nodes;
using Baton.Bench.Datasets;
using Baton.Bench.Figures;
using Baton.Bench.Load;
using Baton.Bench.Reports;
using Baton.Core.Engine.Simulated;
using Baton.Core.Ids;
using Baton.Core.Randomness;
using Baton.Core.Requests;
using Baton.Scheduling;
using Baton.Scheduling.Unified;
using Baton.Simulation.Cluster;
using Baton.Simulation.Events;
using Baton.Simulation.Fitting;
using RequestRecord = Baton.Bench.Load.RequestRecord;

namespace Baton.Cli.Tests.Commands;

/// <summary>From a cost model through a simulated engine and bench's own output back to the cost model.</summary>
public sealed class SimulateFitTests
{
    private const int Chunk = 128;
    private static readonly CostModel Engine = CostModel.Parse("fixed=6,prompt=0.08,attention=0.00002,row=0.4,row-context=0.0005");

    [Fact]
    public void The_costs_of_an_engine_come_back_from_its_bench_output_within_a_few_percent()
    {
        FittedCost fitted = Fit(Measure(1, 60, answer: 8), Measure(4, 60, answer: 60), Measure(16, 120, answer: 60));

        Assert.InRange(fitted.Cost.FixedMs, 6 * 0.97, 6 * 1.03);
        Assert.InRange(fitted.Cost.PromptTokenMs, 0.08 * 0.97, 0.08 * 1.03);
        Assert.InRange(fitted.Cost.AttentionMs, 0.00002 * 0.95, 0.00002 * 1.05);
        Assert.InRange(fitted.Cost.RowMs, 0.4 * 0.95, 0.4 * 1.05);
        Assert.InRange(fitted.Cost.RowContextMs, 0.0005 * 0.95, 0.0005 * 1.05);
        Assert.InRange(fitted.OverheadMs, 1.3, 1.9); // 1.5 on average, put in below
        Assert.Equal(Chunk, fitted.ChunkedPrefillSize);
    }

    [Fact]
    public void Strays_are_left_out_and_counted()
    {
        FittedCost fitted = Fit(Measure(1, 60, answer: 8), Measure(4, 60, answer: 60));

        Assert.InRange(fitted.Gaps.Strays, 1, 0.1 * fitted.Gaps.Used);
        Assert.True(fitted.Gaps.MeanErrorPercent < 5, $"{fitted.Gaps.MeanErrorPercent} %");
        Assert.Contains(fitted.Prompts.Rows, row => row.MeasuredMs > 100 && Math.Abs(row.FittedMs / row.MeasuredMs - 1) < 0.02);
    }

    [Fact]
    public void Tokens_that_reach_the_client_several_at_a_time_change_little()
    {
        FittedCost fitted = Fit(Measure(1, 60, answer: 8), Measure(4, 60, answer: 60, bunchMs: 10), Measure(16, 120, answer: 60, bunchMs: 10));

        Assert.InRange(fitted.Cost.FixedMs, 6 * 0.9, 6 * 1.1);
        Assert.InRange(fitted.Cost.FixedMs + fitted.Cost.RowMs, 6.4 * 0.9, 6.4 * 1.1);
        Assert.All(fitted.Gaps.Rows, row => Assert.InRange(row.MeasuredMs, 6, 60)); // of one gap
        Assert.Equal(fitted.Cost, FittedCost.FromJson(fitted.ToJson()).Cost);
    }

    [Fact]
    public void The_file_carries_the_costs_to_whoever_takes_a_cost_model()
    {
        FittedCost fitted = Fit(Measure(1, 30, answer: 8), Measure(4, 30, answer: 30));
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, fitted.ToJson());

            Assert.Equal(fitted.Cost, CostModelText.Read($"fitted:{file}"));
            Assert.Equal(CostModel.Parse("fixed=3"), CostModelText.Read("fixed=3"));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("fitted:/no/such/file", "/no/such/file")]
    [InlineData("nonsense=3", "nonsense")]
    public void A_cost_model_that_cannot_be_read_is_named(string text, string expected) =>
        Assert.Contains(expected, Assert.Throws<FormatException>(() => CostModelText.Read(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void What_the_measurements_do_not_tell_is_asked_for()
    {
        Assert.Contains("--max-concurrency 1", Refused(Measure(16, 40, answer: 20)), StringComparison.Ordinal);      // nobody was alone
        Assert.Contains("batch sizes", Refused(Measure(1, 40, answer: 20)), StringComparison.Ordinal);               // every batch was 1
        Assert.Contains("--output-details", Refused("{\"itls\":[]}"), StringComparison.Ordinal);
        Assert.Contains("line 1", Refused("not json"), StringComparison.Ordinal);
        Assert.Contains("2 prefill and 1 decode ranks", Refused(Measure(1, 5, answer: 5).Replace("\"baton\":{", "\"baton\":{\"prefill_ranks\":[1,2],\"decode_ranks\":[1],", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Contains("--chunked-prefill-size", Refused(Measure(1, 5, answer: 5).Replace("chunked_prefill_size", "something", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    private static FittedCost Fit(params string[] lines)
    {
        using StringReader text = new(string.Join('\n', lines));
        return CostFit.Fit([("bench.jsonl", text)]);
    }

    private static string Refused(string line) => Assert.Throws<FormatException>(() => Fit(line)).Message;

    /// <summary>A closed loop against one unified rank in virtual time, written as bench writes it, with the noise that a real measurement has.</summary>
    /// <param name="bunchMs">What comes reaches the client only at multiples of it, as when a thread on the way is slow to wake.</param>
    private static string Measure(int clients, int requests, int answer, double bunchMs = 0)
    {
        SeededRandom random = new((ulong)clients);
        EventLoop loop = new();
        SimulatedEngineOptions options = new() { Cost = Engine, MaxSequences = 64, MaxBatchTokens = 512 };
        using UnifiedRank rank = new(DpRank.Zero, new SimulatedEngine(options), new SchedulerOptions { ChunkedPrefillSize = Chunk, MaxRunningRequests = 64 });
        IndependentDriver driver = new(loop, rank, () => 1);
        rank.Inbox.Wake = driver.Wake;
        List<RequestRecord> records = [];
        void Send()
        {
            if (records.Count == requests) return;
            RequestRecord record = new(records.Count, new BenchRequest { TokenIds = [], PromptTokens = random.NextBetween(20, 3000), OutputTokens = answer }) { StartedAt = loop.Now, GeneratedText = "" };
            records.Add(record);
            Client client = new(loop, record, random, bunchMs, Send);
            GenerationRequest request = new() { Id = new RequestId($"r{record.Index}"), PromptTokens = new int[record.PromptTokens], Sampling = new SamplingOptions { Temperature = 0, MaxNewTokens = answer }, Sink = client };
            loop.After(TimeSpan.FromMilliseconds(1.5), () => Assert.Null(rank.Inbox.TrySubmit(request)));
        }
        for (int i = 0; i < clients; i++) Send();
        loop.Run(TimeSpan.FromHours(1));
        Assert.All(records, record => Assert.Equal(answer, record.OutputTokens));
        return JsonLine.Write(
            null, new ReportHeader("baton", double.PositiveInfinity, clients, null), new DatasetOptions(), ServingFigures.From(records, loop.Now, ServiceGoals.None),
            PdFigures.From(records), new JsonObject { ["chunked_prefill_size"] = Chunk }, records);
    }

    /// <summary>Sees each token a little early or late, and one in a hundred 30 ms late: a pause of the machine.</summary>
    private sealed class Client(EventLoop loop, RequestRecord record, SeededRandom random, double bunchMs, Action next) : IGenerationSink
    {
        private TimeSpan _last;

        public void OnToken(in OutputToken token)
        {
            TimeSpan seen = loop.Now + TimeSpan.FromMilliseconds(random.NextBool(0.01) ? 30 : 0.2 * random.NextDouble());
            if (bunchMs > 0 && record.FirstTokenAt is not null) seen = TimeSpan.FromMilliseconds(Math.Ceiling(seen.TotalMilliseconds / bunchMs) * bunchMs);
            if (seen < _last) seen = _last;
            if (record.FirstTokenAt is null) record.FirstTokenAt = seen;
            else record.InterTokenMs.Add((seen - _last).TotalMilliseconds);
            _last = seen;
            record.OutputTokens++;
        }

        public void OnEnd(GenerationEnd end)
        {
            record.EndedAt = _last;
            loop.At(_last, next);
        }
    }
}
