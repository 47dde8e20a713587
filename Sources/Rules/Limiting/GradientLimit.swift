/// How many requests a server can have at once without slowing down, found from how long it takes:
/// a limit that follows the gradient of latency. Performs no I/O; time and chance are values.
///
///     measuring --(enough answers at the least concurrency)--> following
///         ^                                                        |
///         +------(every `interval`, give or take a tenth)----------+
///
/// - measuring: the limit is `least`, so that nothing queues at the server; the median of
///   `requests` answers becomes the shortest time that it can take. Requests that went before do
///   not count: they have queued.
/// - following: at the end of each `window` in which answers came, the limit is multiplied by
///   (shortest time + tolerance) / median of the window, at least a half and at most two, and its
///   square root is added as headroom: without it a limit that is too low could never be found so.
///   It is not raised while less than half of it is used: nothing would show that it is too high.
public struct GradientLimit: Sendable {
    enum Phase: Equatable, Sendable { case measuring, following }

    public let terms: GradientTerms
    private(set) var phase = Phase.measuring
    /// The limit now.
    public private(set) var limit: Int
    /// What `following` left, to go on from.
    private var followed: Double
    /// In nanoseconds; 0 while it is unknown.
    public private(set) var shortest: Int64 = 0
    private var times = LatencySketch()
    private var mostInFlight = 0
    private var windowEndsAt: Int64 = 0
    private var measureAt: Int64 = 0
    private var measuringSince: Int64 = .min

    public init(_ terms: GradientTerms) {
        self.terms = terms
        limit = terms.least
        followed = Double(terms.least)
    }

    /// Whether another request may go, beside so many.
    public mutating func allows(besides inFlight: Int) -> Bool {
        mostInFlight = max(mostInFlight, min(inFlight &+ 1, limit))
        return inFlight < limit
    }

    /// An answer has come, or is no longer waited for, after so many nanoseconds.
    ///
    /// - draw: any random number.
    public mutating func answered(after time: Int64, at now: Int64, draw: UInt64) {
        switch phase {
        case .measuring:
            guard now &- time >= measuringSince else { return }
            times.add(time)
            guard times.count >= terms.requests else { return }
            shortest = times.median
            phase = .following
            limit = Int(followed)
            measureAt = now &+ jittered(terms.interval, draw)
            beginWindow(now)
        case .following:
            times.add(time)
            if now >= windowEndsAt { follow(now) }
            if now >= measureAt { measure(now) }
        }
    }

    private mutating func follow(_ now: Int64) {
        let allowed = Double(shortest) * (1 + terms.tolerance)
        let gradient = min(2, max(0.5, allowed / Double(max(times.median, 1))))
        let next = gradient * followed + followed.squareRoot()
        let isUsed = mostInFlight * 2 > limit
        if isUsed || next < followed {
            followed = min(Double(terms.most), max(Double(terms.least), next))
        }
        limit = Int(followed)
        beginWindow(now)
    }

    private mutating func measure(_ now: Int64) {
        phase = .measuring
        measuringSince = now
        limit = terms.least
        times = LatencySketch()
    }

    private mutating func beginWindow(_ now: Int64) {
        times = LatencySketch()
        mostInFlight = 0
        windowEndsAt = now &+ terms.window
    }

    private func jittered(_ duration: Int64, _ draw: UInt64) -> Int64 {
        let tenth = UInt64(max(duration / 10, 1))
        return duration &- Int64(tenth) &+ Int64(draw % (2 * tenth))
    }
}

/// What a gradient limit may do.
public struct GradientTerms: Sendable, Equatable {
    /// Bounds of the limit; the lower one holds while the shortest time is measured.
    public var least = 4
    public var most = 1_000
    /// Answers that make a measurement.
    public var requests = 50
    /// From one measurement to the next, give or take a tenth; in nanoseconds, like `window`.
    public var interval: Int64 = 60_000_000_000
    public var window: Int64 = 100_000_000
    /// How much longer than the shortest time is no reason to lower the limit: 0.25 is a quarter.
    public var tolerance = 0.25

    public init() {}

    /// One worker's part of what is meant for the process.
    public func shared(by workers: Int) -> GradientTerms {
        var terms = self
        terms.least = max(1, (least + workers - 1) / max(workers, 1))
        terms.most = max(terms.least, most / max(workers, 1))
        return terms
    }
}

/// Counts of times by size, eight steps to each power of two: a median to within a sixteenth, in
/// place that does not grow.
struct LatencySketch: Sendable {
    /// From about a microsecond on; from 18 minutes on all are the longest.
    private static let firstPower = 10
    private static let powers = 30

    private var counts = InlineArray<240, UInt32>(repeating: 0)
    private(set) var count = 0

    mutating func add(_ time: Int64) {
        counts[Self.position(time)] &+= 1
        count &+= 1
    }

    /// In nanoseconds: the middle of the step that has it; 0 of nothing.
    var median: Int64 {
        var seen = 0
        for position in 0..<(Self.powers * 8) {
            seen &+= Int(counts[position])
            if seen * 2 >= count, seen > 0 {
                let start = Int64(8 + position % 8) << Int64(Self.firstPower + position / 8 - 3)
                return start + (1 << Int64(Self.firstPower + position / 8 - 4))
            }
        }
        return 0
    }

    private static func position(_ time: Int64) -> Int {
        let time = max(time, 1 << Int64(firstPower))
        let power = 63 - time.leadingZeroBitCount
        guard power < firstPower + powers else { return powers * 8 - 1 }
        return (power - firstPower) * 8 + Int(time >> Int64(power - 3)) & 7
    }
}
