/// The attempts of one exchange after its first, for the histograms of gRFC A96.
struct RetryTally: BitwiseCopyable {
    enum Kind {
        case retry, transparent, hedge

        var counter: Counters.Event {
            switch self {
            case .retry: .retries
            case .transparent: .transparentRetries
            case .hedge: .hedges
            }
        }
    }

    private(set) var retries: UInt8 = 0
    private(set) var transparent: UInt8 = 0
    private(set) var hedges: UInt8 = 0
    /// Since when no attempt is under way; 0 while one is.
    private(set) var idleSince: Int64 = 0
    /// How long none was under way after the first, in nanoseconds.
    private var idle: Int64 = 0

    @inline(always)
    var isEmpty: Bool { retries | transparent | hedges == 0 }

    mutating func count(_ kind: Kind) {
        switch kind {
        case .retry: Self.add(&retries)
        case .transparent: Self.add(&transparent)
        case .hedge: Self.add(&hedges)
        }
    }

    mutating func stopped(now: Int64) {
        if idleSince == 0 { idleSince = now }
    }

    mutating func sent(now: Int64) {
        idle = delay(now: now)
        idleSince = 0
    }

    /// Ends with the exchange where no other attempt has followed.
    func delay(now: Int64) -> Int64 { idleSince == 0 ? idle : idle &+ max(0, now &- idleSince) }

    /// Attempts that no server has seen may be any number.
    private static func add(_ number: inout UInt8) {
        if number < .max { number += 1 }
    }
}

/// The words of a series' histograms of retries.
public enum RetryWord {
    /// Upper bounds of the numbers of attempts.
    public static let bounds: [UInt64] = [1, 2, 3, 4, 5]

    static let retries = 0
    static let transparent = retries + numbers
    static let hedges = transparent + numbers
    static let delay = hedges + numbers
    static let count = delay + 1 + LatencyBuckets.count
    /// A sum, and a bucket for each bound and for what is above all of them.
    private static let numbers = 7

    /// One of the histograms: its sum, and its buckets.
    public enum Histogram: Sendable {
        case retries, transparent, hedges, delay

        public var sum: Int {
            switch self {
            case .retries: RetryWord.retries
            case .transparent: RetryWord.transparent
            case .hedges: RetryWord.hedges
            case .delay: RetryWord.delay
            }
        }

        public var buckets: Range<Int> {
            let count = self == .delay ? LatencyBuckets.count : RetryWord.bounds.count + 1
            return sum + 1..<sum + 1 + count
        }
    }
}

extension CounterBlock {
    /// An exchange is over that had more than one attempt. As gRFC A96 has it a number of 0 is
    /// none.
    func add(_ tally: RetryTally, now: Int64, steps: [Int64]) {
        add(tally.retries, to: .retries)
        add(tally.transparent, to: .transparent)
        add(tally.hedges, to: .hedges)
        let delay = tally.delay(now: now)
        let histogram = RetryWord.Histogram.delay
        add(UInt64(truncatingIfNeeded: delay), at: histogram.sum)
        add(1, at: histogram.buckets.lowerBound + LatencyBuckets.position(delay, in: steps))
    }

    private func add(_ number: UInt8, to histogram: RetryWord.Histogram) {
        guard number > 0 else { return }
        add(UInt64(number), at: histogram.sum)
        let bucket = min(Int(number) - 1, RetryWord.bounds.count)
        add(1, at: histogram.buckets.lowerBound + bucket)
    }
}
