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

/// The histograms of a series' retries: in its block each has a sum, and behind it a bucket for
/// each bound and for what is above all of them.
public enum RetryHistogram: Int, Sendable {
    /// Of numbers of attempts.
    case retries, transparent, hedges
    /// Of times.
    case delay

    /// Upper bounds of the numbers of attempts.
    public static let bounds: [UInt64] = [1, 2, 3, 4, 5]
    static let wordCount = RetryHistogram.delay.buckets.upperBound

    /// Where the sum is.
    public var sum: Int { rawValue * (Self.bounds.count + 2) }

    public var buckets: Range<Int> {
        let count = self == .delay ? LatencyBuckets.count : Self.bounds.count + 1
        return sum + 1..<sum + 1 + count
    }
}

extension Exchange {
    /// Changed as a copy: a field of an exchange that is ever changed in place is checked by the
    /// runtime wherever it is touched, in every call.
    func changeTally(_ change: (inout RetryTally) -> Void) {
        var tally = tally
        change(&tally)
        self.tally = tally
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
        let histogram = RetryHistogram.delay
        add(UInt64(truncatingIfNeeded: delay), at: histogram.sum)
        add(1, at: histogram.buckets.lowerBound + LatencyBuckets.position(delay, in: steps))
    }

    private func add(_ number: UInt8, to histogram: RetryHistogram) {
        guard number > 0 else { return }
        add(UInt64(number), at: histogram.sum)
        let bucket = min(Int(number) - 1, RetryHistogram.bounds.count)
        add(1, at: histogram.buckets.lowerBound + bucket)
    }
}
