/// How an upstream's requests are spread over its endpoints.
public struct BalanceTerms: Equatable, Sendable {
    public enum Algorithm: String, CaseIterable, Sendable {
        /// In turn, as often as weights say.
        case roundRobin = "round_robin"
        /// By chance, as often as weights say.
        case random
        /// Where the fewest requests are, of two drawn by chance.
        case leastRequest = "least_request"
        /// Where a request is likely to end first, of two drawn by chance: see `LatencyEstimate`.
        case peakEWMA = "peak_ewma"
        /// By the request's hash, see `HashTable`.
        case ringHash = "ring_hash"
        case maglev
    }

    public var algorithm = Algorithm.roundRobin
    public var latency = LatencyTerms()
    /// What a request's hash is made of, in this order.
    public var hash: [HashSource] = []
    /// Nil: an endpoint gets all that belongs to it.
    public var loadLimit: LoadLimit?
    /// Nil: endpoints get their share at once.
    public var slowStart: SlowStartTerms?
    /// Nil: zones do not matter.
    public var zones: ZoneTerms?
    /// How many of the endpoints this process uses; 0 is all.
    public var subset = 0
    /// When fewer than this many in 10,000 of the endpoints are available, all are used again; 0 is
    /// never.
    public var panicShare = 5_000

    public init() {}

    public init(_ algorithm: Algorithm) { self.algorithm = algorithm }

    public var isByHash: Bool { algorithm == .ringHash || algorithm == .maglev }
    /// Whether so few are available that all are to be used.
    public func isPanic(available: Int, of count: Int) -> Bool {
        available * 10_000 < count * panicShare
    }
}

/// How latencies are estimated. Nanoseconds.
public struct LatencyTerms: Equatable, Sendable {
    /// In this time without requests an estimate falls to 37 % (1/e).
    public var decay: Int64 = 10_000_000_000
    /// What is assumed of an endpoint that has not answered yet.
    public var initial: Int64 = 30_000_000
    /// What a failure counts as at least, so that failing fast attracts nothing.
    public var penalty: Int64 = 5_000_000_000

    public init() {}
}

extension BalanceTerms {
    /// For explanations.
    public var words: String {
        var words = [algorithmWords]
        if let zones { words.append("zone \(zones.local) first") }
        if slowStart != nil { words.append("slow start") }
        if subset > 0 { words.append("\(subset) of the endpoints") }
        return words.joined(separator: ", ")
    }

    private var algorithmWords: String {
        switch algorithm {
        case .roundRobin: "in turn (round_robin)"
        case .random: "by chance (random)"
        case .leastRequest: "the fewest requests (least_request)"
        case .peakEWMA: "the shortest wait (peak_ewma)"
        case .ringHash, .maglev:
            "by the hash of " + hash.map(\.description).joined(separator: ", ")
                + " (\(algorithm.rawValue))"
                + (loadLimit.map { ", at most \($0.percent)% of the average load" } ?? "")
        }
    }
}
