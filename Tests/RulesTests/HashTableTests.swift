import Rules
import Testing

@Suite("Tables of hashes")
struct HashTableTests {
    enum Kind: CaseIterable, Sendable { case ring, maglev }

    private static let keys = 200_000

    private func owners(_ count: Int, weights: [UInt32]? = nil) -> [HashTable.Owner] {
        (0..<count).map { index in
            HashTable.Owner(
                key: Array("10.0.\(index / 250).\(index % 250 + 1):50051".utf8),
                weight: weights?[index] ?? 1)
        }
    }

    private func table(_ kind: Kind, _ owners: [HashTable.Owner]) -> HashTable {
        kind == .ring ? .ring(owners) : .maglev(owners)
    }

    private func counts(_ table: HashTable, of count: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: count)
        for key in 0..<Self.keys { counts[table.owner(at: table.start(hash(key)))] += 1 }
        return counts
    }

    private func hash(_ key: Int) -> UInt64 { XXH64.hash(UInt64(key)) }

    @Test("a ring has 1,024 points, more where weights ask for them, and 4,096 at most")
    func sizes() {
        #expect(HashTable.ring(owners(1)).count == 1_024)
        #expect(HashTable.ring(owners(4)).count == 4 * 512)
        #expect(HashTable.ring(owners(8)).count == 4_096)
        #expect(HashTable.ring(owners(10)).count == 10 * 409)
        #expect(HashTable.ring(owners(3)).count == 3 * 512)
        #expect(HashTable.ring(owners(2, weights: [1, 999])).count == 4 + 4_091)
        #expect(HashTable.ring(owners(2, weights: [3, 997])).count == 12 + 4_083)
        #expect(HashTable.ring(owners(5, weights: [1, 1_000, 1_000, 1_000, 1_000])).count == 4_093)
        #expect(HashTable.ring(owners(3, weights: [1, 1_000, 9_000])).count == 1 + 409 + 3_686)
        // Each has a point, even where there are more of them than that.
        #expect(HashTable.ring(owners(5_000)).count == 5_000)
        #expect(HashTable.maglev(owners(4)).count == 65_537)
        #expect(HashTable.ring([]).count == 0)
        #expect(HashTable.maglev([]).count == 0)
    }

    @Test(
        "each owner gets its share of the hashes, as exactly as the kind of table allows",
        arguments: Kind.allCases, [[1, 1, 1, 1, 1], [1, 2, 3, 4]] as [[UInt32]])
    func shares(kind: Kind, weights: [UInt32]) {
        let table = table(kind, owners(weights.count, weights: weights))
        let counts = counts(table, of: weights.count)
        let sum = Double(weights.reduce(0, +))
        for (count, weight) in zip(counts, weights) {
            let share = Double(weight) / sum
            let expected = Double(Self.keys) * share
            // Of a ring's n points k are its own: the share's deviation is sqrt(1 / k) of it. Of a
            // table's slots it has one more or less; what is left is that of the keys.
            let table = kind == .ring ? 1 / (share * Double(table.count)) : 0
            let keys = (1 - share) / expected
            let tolerance = 4 * (table + keys).squareRoot() + 2 / 65_537 / share
            #expect(abs(Double(count) / expected - 1) <= tolerance, "\(counts)")
        }
    }

    @Test(
        "where an owner leaves, its hashes move; of others none or few",
        arguments: Kind.allCases, [3, 8, 20])
    func leaving(kind: Kind, count: Int) {
        let all = owners(count)
        let before = table(kind, all)
        let leaver = count / 2
        var left = all
        left.remove(at: leaver)
        let after = table(kind, left)
        var own = 0
        var others = 0
        for key in 0..<Self.keys {
            let old = before.owner(at: before.start(hash(key)))
            let new = after.owner(at: after.start(hash(key)))
            if old == leaver {
                own += 1
            } else if old != (new < leaver ? new : new + 1) {
                others += 1
            }
        }
        let share = Double(own) / Double(Self.keys)
        // It has k points of the ring, which give it sqrt(1 / k) more or less.
        let points = Double(before.count) / Double(count)
        let expected = 1 / Double(count)
        let deviation = kind == .ring ? (1 / points).squareRoot() * expected : 0.001
        #expect(abs(share - expected) <= 4 * deviation)
        // Up to eight have the points that they had; of a full ring 1 / n are new. Maglev's authors
        // found a few percent.
        let isFull = count > 8
        let limit = kind == .ring ? (isFull ? 1.2 * expected : 0) : 0.05
        #expect(Double(others) / Double(Self.keys) <= limit)
    }

    @Test("the order of the list does not matter", arguments: Kind.allCases)
    func order(kind: Kind) {
        let list = owners(7)
        let reversed = Array(list.reversed())
        let one = table(kind, list)
        let other = table(kind, reversed)
        var different = 0
        for key in 0..<10_000 {
            let first = list[one.owner(at: one.start(hash(key)))].key
            let second = reversed[other.owner(at: other.start(hash(key)))].key
            if first != second { different += 1 }
        }
        #expect(different == 0)
    }

    @Test("whoever walks on meets every owner", arguments: Kind.allCases)
    func walk(kind: Kind) {
        let table = table(kind, owners(5))
        var position = table.start(.max)
        var met: Set<Int> = []
        for _ in 0..<500 {
            met.insert(table.owner(at: position))
            position = table.next(position)
        }
        #expect(met.count == 5)
    }

    @Test("a bounded load is filled to its bound and no further", arguments: [100, 125, 200])
    func bounded(percent: Int) throws {
        let limit = LoadLimit(percent: percent)
        var loads = [Int](repeating: 0, count: 4)
        // All want the first.
        for total in 0..<400 {
            let index = loads.firstIndex {
                limit.allows(inFlight: $0, total: total, share: (1, 4))
            }
            let chosen = try #require(index, "somebody may take the request")
            loads[chosen] += 1
        }
        #expect(loads[0] == percent)
        #expect(loads.reduce(0, +) == 400)
    }
}

@Suite("What is hashed of a request")
struct HashSourceTests {
    @Test(
        "a cookie's value is found among others",
        arguments: [
            ("weir=abc", "abc"), ("a=b; weir=1", "1"), ("weir=; x=y", ""), ("xweir=1; weir=2", "2"),
            ("weir", nil), ("weirs=1", nil), ("", nil), ("a=weir=3", nil), ("weir=1;weir=2", "1"),
        ] as [(String, String?)])
    func cookie(field: String, value: String?) {
        let bytes = Array(field.utf8)
        let range = bytes.span.cookie(Array("weir".utf8))
        #expect(range.map { String(decoding: bytes[$0], as: UTF8.self) } == value)
    }

    @Test("hashes are put together as gRPC does: turned left by one, then joined")
    func combined() {
        var hash = RequestHash()
        #expect(hash.value == nil)
        hash.combine(0x8000_0000_0000_0001)
        #expect(hash.value == 0x8000_0000_0000_0001)
        hash.combine(0xf0)
        #expect(hash.value == 0xf3)
    }
}
