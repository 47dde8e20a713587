internal import Wire

/// What a key of the table stands for.
enum PathKind: UInt32 {
    case exact = 0
    /// Covers the path itself and what follows it after a slash.
    case segments = 1
    /// Ends in a dot and covers what begins with it.
    case dotted = 2
}

/// One pass over a path: its end, its hash, and the hash of each prefix that a pattern could have.
///
/// Prefixes end before a slash or at the end (by segments), or after a dot. Their number in order
/// is their depth: `/a.B/C` has `/a.` at depth 1, `/a.B` at 2 and `/a.B/C` at 3.
struct PathPrefixes {
    static let depthMax = 32

    /// Where the path ends and the query, if any, begins with its `?`.
    private(set) var pathEnd = 0
    private(set) var pathHash: UInt64 = 0
    /// How many prefixes were kept: those at depths 1 to `count`.
    private(set) var count = 0
    private var hashes: [32 of UInt64] = .init(repeating: 0)
    /// Where each prefix ends, times two, plus one if after a dot.
    private var ends: [32 of UInt32] = .init(repeating: 0)

    /// Keeps prefixes up to depth `limit`, at most `depthMax`. Goes by eight bytes: most have none
    /// of the three that matter.
    init(_ path: Span<UInt8>, limit: Int) {
        var hash = RouteHash()
        var start = 0
        while start &+ 8 <= path.count {
            let word = path.word(at: start)
            if let end = take(word, from: start, hash, limit: limit) {
                finish(at: start &+ end, hash.value(appending: end, of: word), limit)
                return
            }
            hash.append(whole: word)
            start &+= 8
        }
        let left = path.count &- start
        let word = path.lastBytes(left)
        let end = take(word, from: start, hash, limit: limit) ?? left
        finish(at: start &+ end, hash.value(appending: end, of: word), limit)
    }

    /// Keeps the prefixes that end in the eight bytes of `word`; gives where among them the path
    /// ends, if it does.
    @inline(__always)
    private mutating func take(
        _ word: UInt64, from start: Int, _ hash: RouteHash, limit: Int
    ) -> Int? {
        // `.`, `/` and `?` differ in two bits. With both set they, and `>`, are `?`; of the
        // difference to that only their bytes are zero, and only those do not carry into bit 7.
        let others = (word | 0x1111_1111_1111_1111) ^ 0x3f3f_3f3f_3f3f_3f3f
        let low = 0x7f7f_7f7f_7f7f_7f7f as UInt64
        var marks = ~((others & low) &+ low | others | low)
        while marks != 0 {
            let place = marks.leadingZeroBitCount >> 3
            marks &= ~(0x8000_0000_0000_0000 &>> UInt64(truncatingIfNeeded: place &* 8))
            let shift = UInt64(truncatingIfNeeded: 56 &- place &* 8)
            switch UInt8(truncatingIfNeeded: word &>> shift) {
            case UInt8(ascii: "?"): return place
            case UInt8(ascii: "/"):
                let index = start &+ place
                if index > 0, count < limit {
                    keep(hash.value(appending: place, of: word), end: index, isDotted: false)
                }
            case UInt8(ascii: "."):
                if count < limit {
                    let end = place &+ 1
                    keep(hash.value(appending: end, of: word), end: start &+ end, isDotted: true)
                }
            default: break
            }
        }
        return nil
    }

    private mutating func finish(at end: Int, _ hash: UInt64, _ limit: Int) {
        pathEnd = end
        pathHash = hash
        if end > 1, count < limit { keep(hash, end: end, isDotted: false) }
    }

    @inline(__always)
    private mutating func keep(_ hash: UInt64, end: Int, isDotted: Bool) {
        hashes[count] = hash
        ends[count] = UInt32(truncatingIfNeeded: end) << 1 | (isDotted ? 1 : 0)
        count &+= 1
    }

    /// The prefix at a depth from 1 to `count`.
    @inline(__always)
    func prefix(_ depth: Int) -> (hash: UInt64, end: Int, kind: PathKind) {
        let end = ends[depth &- 1]
        return (hashes[depth &- 1], Int(end >> 1), end & 1 == 0 ? .segments : .dotted)
    }

    /// The depth at which a path has a prefix of this kind.
    static func depth(_ prefix: Span<UInt8>, _ kind: PathKind) -> Int {
        var depth = kind == .segments ? 1 : 0
        for index in prefix.indices {
            let byte = prefix[index]
            if byte == UInt8(ascii: ".") || (byte == UInt8(ascii: "/") && index > 0) { depth += 1 }
        }
        return depth
    }
}
