/// Series by a pattern and a declared method: an open-addressed hash table, at most half full, that
/// grows when a pair is seen for the first time.
struct SeriesIndex {
    /// Clients choose which of a configuration's pairs they call: a thousand hosts' routes and ten
    /// thousand methods would be too many.
    static let pairsMax = 20_000

    private struct Entry {
        var key: UInt64
        var series: Borrowed<SeriesWriter>
    }

    private var entries: [Entry?] = []
    private var count = 0

    /// The series of a pair, which `make` makes when it is seen for the first time; nil where that
    /// would be one too many.
    @inline(always)
    mutating func series(
        pattern: Int, method: Int, make: () -> Borrowed<SeriesWriter>
    ) -> Borrowed<SeriesWriter>? {
        let key = UInt64(truncatingIfNeeded: pattern) << 32 | UInt64(truncatingIfNeeded: method)
        if !entries.isEmpty {
            var slot = self.slot(key)
            while let entry = entries[slot] {
                if entry.key == key { return entry.series }
                slot = (slot &+ 1) & (entries.count &- 1)
            }
        }
        guard count < Self.pairsMax else { return nil }
        let made = make()
        insert(Entry(key: key, series: made))
        return made
    }

    private mutating func insert(_ entry: Entry) {
        if count * 2 >= entries.count { grow() }
        var slot = self.slot(entry.key)
        while entries[slot] != nil { slot = (slot + 1) & (entries.count - 1) }
        entries[slot] = entry
        count += 1
    }

    private mutating func grow() {
        let known = entries
        entries = Array(repeating: nil, count: max(16, known.count * 2))
        count = 0
        for entry in known { if let entry { insert(entry) } }
    }

    @inline(always)
    private func slot(_ key: UInt64) -> Int {
        let product = key.multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return Int(truncatingIfNeeded: product.high ^ product.low) & (entries.count &- 1)
    }
}
