/// Preferring endpoints in the process's own zone.
public struct ZoneTerms: Equatable, Sendable {
    /// The process's own.
    public let local: String
    /// As long as this many in 10,000 of the zone's endpoints are usable, traffic stays.
    public let minimum: Int

    public init(local: String, minimum: Int) {
        self.local = local
        self.minimum = minimum
    }

    /// How much of the traffic stays in the zone: all of it, or as much less as fewer are usable
    /// than should be.
    ///
    /// - usable: of the zone's `count` endpoints.
    public func localShare(usable: Int, of count: Int) -> Double {
        guard usable > 0, count > 0, minimum > 0 else { return usable > 0 ? 1 : 0 }
        return min(1, Double(usable * 10_000) / Double(count * minimum))
    }
}
