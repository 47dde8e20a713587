/// When calls that fail take an endpoint out of the choice, and for how long. Nanoseconds.
public struct EjectionTerms: Equatable, Sendable {
    /// Failures in a row; 0 is never.
    public var consecutiveFailures: UInt32 = 5
    /// How often rates are looked at, and after how long without trouble an endpoint is forgiven
    /// one of its earlier ejections.
    public var interval: Int64 = 10_000_000_000
    /// For the first ejection; the second takes twice as long, and so on up to `timeMax`.
    public var timeBase: Int64 = 30_000_000_000
    public var timeMax: Int64 = 300_000_000_000
    /// So many hundredths of a percent of that time are added at most, by chance, so that endpoints
    /// that were ejected together do not return together.
    public var jitter: Int64 = 1_000
    /// How many hundredths of a percent of an upstream's endpoints may be ejected at once.
    public var shareMax: Int64 = 1_000
    /// An active check that succeeds ends an ejection.
    public var returnsOnCheck = true
    public var successRate: SuccessRate?
    public var failureShare: FailureShare?

    public init() {}

    /// Ejects what succeeds far less often than the others do.
    public struct SuccessRate: Equatable, Sendable {
        /// How far below the mean, in thousandths of a standard deviation.
        public var deviations: Int64 = 1_900
        /// Endpoints that have had enough calls; with fewer, nobody is judged.
        public var endpointsMin: Int64 = 5
        /// Calls within an interval.
        public var callsMin: Int64 = 100

        public init() {}
    }

    /// Ejects what fails too often, whatever the others do.
    public struct FailureShare: Equatable, Sendable {
        /// In hundredths of a percent; an endpoint that reaches it is ejected.
        public var threshold: Int64 = 8_500
        public var endpointsMin: Int64 = 5
        public var callsMin: Int64 = 50

        public init() {}
    }

    /// Rates are counted.
    public var countsRates: Bool { successRate != nil || failureShare != nil }

    /// How many of so many endpoints may be ejected at once: the share, rounded down, but one where
    /// there are several. The only one never is: there would be nobody left to ask.
    public func allowed(of endpoints: Int) -> Int {
        guard endpoints > 1 else { return 0 }
        return max(1, Int(Int64(endpoints) * shareMax / 10_000))
    }

    /// How long the nth ejection in a row lasts. - draw: any random number.
    public func time(of ejection: Int, draw: UInt64) -> Int64 {
        let (scaled, overflow) = timeBase.multipliedReportingOverflow(by: Int64(max(ejection, 1)))
        let time = min(overflow ? .max : scaled, max(timeBase, timeMax))
        let most = time / 10_000 * jitter
        return time + (most > 0 ? Int64(draw % UInt64(most + 1)) : 0)
    }
}
