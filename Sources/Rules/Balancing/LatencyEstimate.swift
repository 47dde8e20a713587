/// How long an endpoint takes to answer, as far as is known: peak EWMA. A sample above the estimate
/// replaces it at once; one below pulls it down by the time that has passed. Without samples it
/// falls, so that an endpoint that was slow is tried again. Performs no I/O.
public struct LatencyEstimate: Sendable {
    private var nanoseconds: Double
    private var updatedAt: Int64

    public init(_ terms: LatencyTerms, now: Int64) {
        nanoseconds = Double(terms.initial)
        updatedAt = now
    }

    /// Nanoseconds.
    public func value(now: Int64, _ terms: LatencyTerms) -> Double {
        nanoseconds * Self.left(now &- updatedAt, terms)
    }

    /// What another request would cost where `inFlight` are under way.
    public func cost(inFlight: Int, now: Int64, _ terms: LatencyTerms) -> Double {
        value(now: now, terms) * Double(inFlight + 1)
    }

    /// A response has come to its end after so long.
    public mutating func answered(_ latency: Int64, now: Int64, _ terms: LatencyTerms) {
        let sample = Double(max(0, latency))
        if sample >= nanoseconds {
            nanoseconds = sample
        } else {
            let share = Self.left(now &- updatedAt, terms)
            nanoseconds = nanoseconds * share + sample * (1 - share)
        }
        updatedAt = max(updatedAt, now)
    }

    /// It ended in a failure, which may have been fast.
    public mutating func failed(_ latency: Int64, now: Int64, _ terms: LatencyTerms) {
        answered(max(latency, terms.penalty), now: now, terms)
    }

    /// Nobody waited for the end: it would have taken longer than this.
    public mutating func gaveUp(_ elapsed: Int64, now: Int64, _ terms: LatencyTerms) {
        guard Double(elapsed) > value(now: now, terms) else { return }
        answered(elapsed, now: now, terms)
    }

    /// What is left of an estimate after so long.
    private static func left(_ elapsed: Int64, _ terms: LatencyTerms) -> Double {
        elapsed <= 0 ? 1 : Exponential.decay(Double(elapsed) / Double(max(1, terms.decay)))
    }
}
