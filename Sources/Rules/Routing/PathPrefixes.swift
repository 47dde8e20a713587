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

    /// Keeps prefixes up to depth `limit`, at most `depthMax`.
    init(_ path: Span<UInt8>, limit: Int) {
        var hash = RouteHash()
        var index = 0
        while index < path.count {
            let byte = path[index]
            if byte == UInt8(ascii: "?") { break }
            if byte == UInt8(ascii: "/"), index > 0, count < limit {
                keep(hash.value, end: index, isDotted: false)
            }
            hash.append(byte)
            index &+= 1
            if byte == UInt8(ascii: "."), count < limit {
                keep(hash.value, end: index, isDotted: true)
            }
        }
        pathEnd = index
        pathHash = hash.value
        if index > 1, count < limit { keep(pathHash, end: index, isDotted: false) }
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
