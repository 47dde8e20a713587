/// Finds the most specific route of a listener. A decision's cost does not grow with their number.
///
/// Hosts and paths are keys of hash tables. A request is looked up under each of its hosts (exact,
/// wildcards from the longest, any) and there under each of its paths (exact, prefixes from the
/// longest, any), so the first pattern whose other conditions hold is the most specific of all. The
/// number of look-ups is bounded by what the configuration has at most: `wildcardsPerHostMax` times
/// `PathPrefixes.depthMax`, each with `patternsPerKeyMax` patterns. Depths at which a host has no
/// prefix are skipped. Nothing is allocated per decision but by regular expressions.
public final class RouteTable: Sendable {
    /// Wildcards that cover one host, one below another.
    public static let wildcardsPerHostMax = 8
    public static let wildcardLabelsMax = 62
    /// Patterns with the same host and path, which differ in method, headers and query.
    public static let patternsPerKeyMax = 64
    /// Headers of one pattern, and parameters.
    public static let conditionsMax = 32
    /// Prefixes of one path that other patterns could have: its slashes and dots.
    public static let prefixDepthMax = PathPrefixes.depthMax
    /// What `contains` looks for, as each of its bytes costs time at each byte of a value.
    public static let containsBytesMax = 128
    /// Different HTTP methods in all patterns together.
    public static let methodsMax = 128

    let parts: Parts

    public init() { parts = Parts() }

    /// Compiles `patterns`; throws the first reason why that cannot be done. Patterns that can
    /// never match and patterns that are the same as others do no harm here: `problems(in:)` tells.
    public init(patterns: [RoutePattern]) throws(RouteProblem) {
        var builder = RouteTableBuilder(patterns)
        builder.build()
        if let problem = builder.problems.first(where: \.isLimit) { throw problem }
        parts = builder.parts
    }

    /// The most specific pattern that covers a request, and whose it is.
    public struct Match: Equatable, Sendable {
        /// The route's position in the snapshot's list.
        public var route: Int
        /// The pattern's position in the table's.
        public var pattern: Int
        /// The pattern names the whole path.
        public var isExactPath: Bool
    }

    /// How many patterns there are: a match's is less.
    public var patternCount: Int { parts.patternCount }

    /// The most specific match, or nil.
    ///
    /// - `authority` is as received: any port and one trailing dot are ignored, case too.
    /// - `path` is as received, the query included.
    public func match(
        authority: Span<UInt8>, httpMethod: Span<UInt8>, path: Span<UInt8>,
        fields: borrowing some RequestFields
    ) -> Match? {
        var search = RouteSearch(authority: authority, path: path, in: parts)
        while let group = search.next(path, in: parts) {
            for position in group {
                let candidate = parts.candidates[position]
                guard parts.hasMethod(candidate, httpMethod) else { continue }
                if candidate.conditionCount != 0 {
                    let query = path.extracting(search.query(of: path))
                    guard parts.firstUnmet(candidate, query, fields) == nil else { continue }
                }
                return Match(
                    route: Int(candidate.route), pattern: Int(candidate.pattern),
                    isExactPath: search.isExactPath)
            }
        }
        return nil
    }
}

extension RouteTable {
    /// The compiled patterns as flat arrays that refer to each other by position; all text is in
    /// `bytes`.
    struct Parts: Sendable {
        var bytes: [UInt8] = []
        /// The first is any host.
        var hosts = [Host(text: Slice())]
        var hostSlots = SlotTable()
        /// Depths in labels at which there are wildcards, as bits.
        var wildcardDepths: UInt64 = 0
        var paths: [Path] = []
        var pathSlots = SlotTable()
        /// The deepest prefix of any host.
        var prefixDepth = 0
        var candidates: [Candidate] = []
        var patternCount = 0
        var conditions: [Condition] = []
        var methods: [Slice] = []
        var expressions: [RegularExpression] = []
    }

    struct Slice: Sendable {
        var start: UInt32 = 0
        var count: UInt32 = 0

        var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
    }

    struct Host: Sendable {
        /// An exact host, or a wildcard with its leading dot.
        var text: Slice
        /// Depths at which this host has prefixes, as bits 1 to 32.
        var prefixDepths: UInt64 = 0
        /// Where the candidates for any path begin.
        var firstCandidate: UInt32 = 0
        var candidateCount: UInt8 = 0
        var hasExactPaths = false
    }

    struct Path: Sendable {
        var start: UInt32
        var count: UInt16
        var candidateCount: UInt16 = 0
        var firstCandidate: UInt32 = 0
        /// The host's position times four, plus the kind.
        var owner: UInt32
    }

    /// One pattern, for what is left when host and path are found.
    struct Candidate: Sendable {
        var route: UInt32
        var pattern: UInt32
        var firstCondition: UInt32 = 0
        /// Position in `methods` plus one; 0 is any.
        var method: UInt8 = 0
        /// Conditions on headers, then those on the query.
        var headers: UInt8 = 0
        var parameters: UInt8 = 0

        var conditionCount: Int { Int(headers) &+ Int(parameters) }
    }

    struct Condition: Sendable {
        var name: Slice
        /// What to compare with; of a regular expression, `start` is its position.
        var text: Slice
        var comparison: Comparison
    }
}

extension RouteTable.Parts {
    @inline(__always)
    func hasMethod(_ candidate: RouteTable.Candidate, _ httpMethod: Span<UInt8>) -> Bool {
        if candidate.method == 0 { return true }
        let method = methods[Int(candidate.method) - 1]
        return isText(method, httpMethod)
    }

    @inline(__always)
    func isText(_ slice: RouteTable.Slice, _ text: Span<UInt8>) -> Bool {
        let count = Int(slice.count)
        return text.count == count && isEqual(text, bytes.span, from: Int(slice.start))
    }

    /// The position of a path under its owner, if it is a key.
    @inline(__always)
    func findPath(_ path: Span<UInt8>, _ hash: UInt64, _ owner: UInt32) -> Int? {
        let key = RouteHash.key(hash, owner)
        var slot = pathSlots.start(key)
        while pathSlots.slots[slot] != 0 {
            if let position = SlotTable.position(pathSlots.slots[slot], key) {
                let entry = paths[position]
                if entry.owner == owner, Int(entry.count) == path.count,
                    isEqual(path, bytes.span, from: Int(entry.start))
                {
                    return position
                }
            }
            slot = pathSlots.next(slot)
        }
        return nil
    }
}
