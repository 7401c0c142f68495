namespace Baton.Scheduling.Sequences;

/// <summary>Sequences in the order in which they are served: priority, then arrival. A retracted one finds its old place again.</summary>
internal sealed class SequenceQueue<T> where T : LiveSequence
{
    private readonly List<T> _items = [];

    public int Count => _items.Count;

    /// <summary>Tokens of all that wait here, for the load snapshot.</summary>
    public int TokenCount { get; private set; }

    public T this[int index] => _items[index];

    public T? First => _items.Count > 0 ? _items[0] : null;

    public void Add(T item)
    {
        int at = _items.Count;
        while (at > 0 && item.GoesBefore(_items[at - 1])) at--;
        _items.Insert(at, item);
        TokenCount += item.TotalTokens;
    }

    public bool Remove(T item)
    {
        if (!_items.Remove(item)) return false;
        TokenCount -= item.TotalTokens;
        return true;
    }
}
