/// What a worker counts: plain integers of its own, copied out when the control thread asks.
public final class Counters {
    public enum Event: Int, CaseIterable, Sendable {
        case connectionsAccepted, connectionsEnded, requests, responses, localAnswers
        case upstreamConnects, upstreamConnectFailures, upstreamConnectionsEnded
        case clientResets, upstreamResets, deadlinesExceeded, accessDenied
        case installations, acceptExhausted

        public var name: String { "\(self)" }
    }

    // Counted on every request; nothing else touches it meanwhile.
    @safe @exclusivity(unchecked) private(set) var events = [UInt64](
        repeating: 0, count: Event.allCases.count)
    private(set) var limits = [UInt64](repeating: 0, count: Limit.allCases.count)

    @inline(always)
    func add(_ event: Event) { events[event.rawValue] &+= 1 }

    func add(_ limit: Limit) { limits[limit.rawValue] &+= 1 }

    /// Those that are not 0, by name.
    public var nonZero: [(name: String, count: UInt64)] {
        let events = Event.allCases.map { ($0.name, self.events[$0.rawValue]) }
        let limits = Limit.allCases.map { ("limit.\($0.name)", self.limits[$0.rawValue]) }
        return (events + limits).filter { $0.1 > 0 }
    }
}
