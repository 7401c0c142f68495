namespace Baton.Core.Rooms;

/// <summary>Where one room's KV transfer stands, on either side. The numbers are SGLang's <c>KVPoll</c>.</summary>
public enum TransferState : byte
{
    Failed = 0,
    Bootstrapping = 1,
    WaitingForInput = 2,
    Transferring = 3,
    Success = 4,
}

/// <summary>The legal moves: six of twenty-five.</summary>
public static class TransferStates
{
    extension(TransferState state)
    {
        public bool IsTerminal => state is TransferState.Success or TransferState.Failed;

        public bool CanMoveTo(TransferState next) => (state, next) switch
        {
            (TransferState.Bootstrapping, TransferState.WaitingForInput) => true,
            (TransferState.WaitingForInput, TransferState.Transferring) => true,
            (TransferState.Transferring, TransferState.Success) => true,
            // A late failure must not revive a finished room: the next request may already hold its number.
            (_, TransferState.Failed) => !state.IsTerminal,
            _ => false,
        };
    }
}
