using Baton.Core.Kv;

namespace Baton.Core.Tests.Kv;

public sealed class KvPayloadScanTests
{
    [Theory]
    [InlineData(0, 1, 4)]
    [InlineData(1, 0, 2)]
    [InlineData(1, 8, 2)]
    [InlineData(2, 8, 18)]
    [InlineData(8, 1, 34)]
    public void A_chunk_that_arrives_in_pieces_is_judged_as_when_it_comes_whole(int keyType, int valueType, int unit)
    {
        int row = 34 * 18 * 4; // whole units of every type
        KvLayout layout = new([row, row], [row, row], keyType, valueType);
        byte[] payload = new byte[layout.PayloadBytes(3)];

        for (int bad = -1; bad < payload.Length; bad += 1 + (row / unit))
        {
            Array.Clear(payload);
            if (bad >= 0) payload[bad] = 0x7F; // in a high byte it makes the number infinite or NaN; in a low one it is harmless
            if (bad >= 1) payload[bad - 1] = 0x80;
            foreach (int piece in new[] { 1, 7, 1000, payload.Length })
            {
                KvPayloadScan scan = new(layout, 3);
                bool isFinite = true;
                for (int arrived = piece; isFinite && arrived < payload.Length; arrived += piece) isFinite = scan.IsFinite(payload, arrived);
                isFinite = isFinite && scan.IsFinite(payload, payload.Length);
                Assert.Equal(KvPayloadCheck.IsFinite(payload, layout, 3), isFinite);
            }
        }
    }
}
