using Baton.Core.Engine;
using Baton.Core.Text;
using Baton.Serving.Workers;
using Microsoft.Extensions.Logging;

namespace Baton.Serving.Tests;

/// <summary>Simulated engines, the first of which breaks in one of its steps; or a tokenizer that breaks in the middle of an answer.</summary>
internal sealed class FaultyEngines(EngineSource inner) : EngineSource
{
    private int _created;

    /// <summary>Thrown by rank 0 in step <see cref="BreakAtStep"/> and ever after.</summary>
    public Exception? EngineFault { get; init; }

    public int BreakAtStep { get; init; } = 3;

    /// <summary>Thrown for the fortieth token of every answer.</summary>
    public Exception? TextFault { get; init; }

    public override ITextModel Text => TextFault is null ? inner.Text : new FaultyText(inner.Text, TextFault);

    public override double SimulatedTimeScale => inner.SimulatedTimeScale;

    /// <summary>Every engine waits for it before step <see cref="HeldStep"/>.</summary>
    public ManualResetEventSlim? GoOn { get; init; }

    /// <summary>By then so many tokens are on their way to the client that some of them complete a character.</summary>
    public const int HeldStep = 20;

    public static LoadEngines With(Exception? engineFault = null, Exception? textFault = null, ManualResetEventSlim? goOn = null) =>
        (ServeOptions options, TimeProvider time, ILogger logger) => new FaultyEngines(Load(options, time, logger)) { EngineFault = engineFault, TextFault = textFault, GoOn = goOn };

    public override IEngine CreateEngine()
    {
        IEngine engine = inner.CreateEngine();
        if (GoOn is not null) engine = new HeldEngine(engine, GoOn);
        return _created++ == 0 && EngineFault is not null ? new FaultyEngine(engine, BreakAtStep, EngineFault) : engine;
    }

    public override void Dispose() => inner.Dispose();

    private sealed class FaultyEngine(IEngine inner, int breakAtStep, Exception fault) : IEngine
    {
        private int _steps;

        public EngineInfo Info => inner.Info;

        public void Execute(StepPlan plan, StepResult result)
        {
            if (++_steps >= breakAtStep) throw fault;
            inner.Execute(plan, result);
        }

        public void Interrupt() => inner.Interrupt();

        public void Dispose() => inner.Dispose();
    }

    private sealed class HeldEngine(IEngine inner, ManualResetEventSlim goOn) : IEngine
    {
        private int _steps;

        public EngineInfo Info => inner.Info;

        public void Execute(StepPlan plan, StepResult result)
        {
            if (++_steps == HeldStep) goOn.Wait(TestWorker.Patience);
            inner.Execute(plan, result);
        }

        public void Interrupt() => inner.Interrupt();

        public void Dispose() => inner.Dispose();
    }

    private sealed class FaultyText(ITextModel inner, Exception fault) : ITextModel
    {
        public string ModelName => inner.ModelName;
        public int VocabSize => inner.VocabSize;
        public ChatSupport Chat => inner.Chat;
        public int[] Tokenize(string text, bool parseSpecial) => inner.Tokenize(text, parseSpecial);
        public int[] RenderChat(IReadOnlyList<ChatMessage> messages) => inner.RenderChat(messages);
        public IDetokenizer CreateDetokenizer(bool skipSpecial = true) => new FaultyDetokenizer(inner.CreateDetokenizer(skipSpecial), fault);
        public ReadOnlySpan<byte> TokenBytes(int token) => inner.TokenBytes(token);
        public bool IsEndOfGeneration(int token) => inner.IsEndOfGeneration(token);
        public string? FindGrammarProblem(string grammar) => inner.FindGrammarProblem(grammar);
    }

    private sealed class FaultyDetokenizer(IDetokenizer inner, Exception fault) : IDetokenizer
    {
        private int _tokens;

        public string Append(int token) => ++_tokens == 40 ? throw fault : inner.Append(token);

        public string Finish() => inner.Finish();
    }
}
