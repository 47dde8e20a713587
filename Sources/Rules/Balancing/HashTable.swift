/// Which endpoint a hash belongs to, such that few hashes change hands when endpoints come or go.
/// Two ways to make one:
///
/// - A ring: each endpoint has points on it, as many as its weight says, and a hash belongs to the
///   next point. Where one of a few endpoints leaves, its own hashes move and no others; of many,
///   some `1 / n` of the others' too. Shares differ by some `1 / √points`.
/// - Maglev (Eisenbud et al., 2016): a table of which endpoints take slots in turn, each in an
///   order of its own. Shares are even to a slot each turn; where an endpoint leaves, a few hashes
///   of others move too.
///
/// Position after position, whoever walks on meets the endpoints in an order that is the hash's
/// own.
public struct HashTable: Sendable {
    /// Of a ring: as many points as endpoints need for even shares, within these bounds.
    public static let ringMin = 1_024
    public static let ringMax = 4_096
    /// Of the lightest, where that fits: up to eight endpoints of the same weight.
    public static let pointsEach = 512
    /// Of Maglev's table: a prime, a hundred times as many as endpoints that get even shares.
    public static let slots = 65_537

    /// An endpoint: what stands for it, the same in every process, and its weight, from 1.
    public struct Owner: Sendable {
        public let key: [UInt8]
        public let weight: UInt32

        public init(key: [UInt8], weight: UInt32) {
            self.key = key
            self.weight = weight
        }
    }

    /// A ring's, ascending; empty for a table.
    private var points: [UInt64] = []
    private var owners: [UInt32] = []

    /// Without owners: nothing may be asked of it.
    public init() {}

    public var count: Int { owners.count }

    /// Where a hash's owners begin. There is at least one.
    public func start(_ hash: UInt64) -> Int {
        if points.isEmpty { return Int(truncatingIfNeeded: hash % UInt64(owners.count)) }
        var low = 0
        var high = points.count
        while low < high {
            let middle = (low &+ high) &>> 1
            if points[middle] < hash { low = middle &+ 1 } else { high = middle }
        }
        return low == points.count ? 0 : low
    }

    public func next(_ position: Int) -> Int {
        position &+ 1 >= owners.count ? 0 : position &+ 1
    }

    /// The position in the list of owners.
    public func owner(at position: Int) -> Int { Int(owners[position]) }
}

extension HashTable {
    /// A ring with points by weight. With room for it the lightest has `pointsEach` whatever the
    /// others are, so that the points of those that stay are the same when one comes or goes; in a
    /// ring that is full, each gets some more or less by that.
    public static func ring(_ owners: [Owner]) -> HashTable {
        let weights = owners.map { Double(max(1, $0.weight)) }
        guard let lightest = weights.min() else { return HashTable() }
        let ratio = weights.reduce(0, +) / lightest
        let wanted = max(Double(pointsEach), Double(ringMin) / ratio)
        let least = min(wanted, Double(ringMax) / ratio)
        var ring: [(point: UInt64, owner: UInt32)] = []
        for index in sorted(owners) {
            let number = max(1, Int(least * weights[index] / lightest))
            for number in 0..<number {
                ring.append((point(owners[index].key, number), UInt32(index)))
            }
        }
        ring.sort { $0.point < $1.point }
        var table = HashTable()
        table.points = ring.map(\.point)
        table.owners = ring.map(\.owner)
        return table
    }

    /// By their keys: what a table becomes must not hang on a list's order.
    private static func sorted(_ owners: [Owner]) -> [Int] {
        owners.indices.sorted { owners[$0].key.lexicographicallyPrecedes(owners[$1].key) }
    }

    private static func point(_ key: [UInt8], _ number: Int) -> UInt64 {
        var bytes = key
        bytes.append(UInt8(ascii: "_"))
        bytes.append(contentsOf: "\(number)".utf8)
        return XXH64.hash(bytes.span)
    }

    /// Each takes the next free slot of its own order, as often as its weight says.
    public static func maglev(_ owners: [Owner]) -> HashTable {
        guard !owners.isEmpty else { return HashTable() }
        let size = UInt64(slots)
        let order = sorted(owners)
        let largest = owners.map { max(1, $0.weight) }.max() ?? 1
        var places = owners.map { XXH64.hash($0.key.span) % size }
        let steps = owners.map { XXH64.hash($0.key.span, seed: 1) % (size - 1) + 1 }
        var credits = [UInt32](repeating: 0, count: owners.count)
        let free = UInt32.max
        var table = [UInt32](repeating: free, count: slots)
        var taken = 0
        while taken < slots {
            for index in order where taken < slots {
                credits[index] += max(1, owners[index].weight)
                guard credits[index] >= largest else { continue }
                credits[index] -= largest
                while table[Int(places[index])] != free {
                    places[index] = (places[index] + steps[index]) % size
                }
                table[Int(places[index])] = UInt32(index)
                taken += 1
            }
        }
        var result = HashTable()
        result.owners = table
        return result
    }
}

/// How many requests an endpoint may have under way before those that belong to it go to the next
/// (consistent hashing with bounded loads, Mirrokni et al., 2018).
public struct LoadLimit: Equatable, Sendable {
    /// Percent of the average load, from 100.
    public let percent: Int

    public init(percent: Int) { self.percent = percent }

    /// Whether another request fits.
    ///
    /// - share: the endpoint's weight, and those of all. - total: requests at all endpoints.
    public func allows(
        inFlight: Int, total: Int, share: (weight: Int, of: Int)
    ) -> Bool {
        let bound = percent * (total + 1) * share.weight
        let whole = 100 * max(1, share.of)
        return inFlight < (bound + whole - 1) / whole
    }
}
