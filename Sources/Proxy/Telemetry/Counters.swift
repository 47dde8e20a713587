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

    /// Every request's own: plain integers, as an array's uniqueness check costs two atomic
    /// operations.
    @safe @exclusivity(unchecked) private var requests: UInt64 = 0
    @safe @exclusivity(unchecked) private var responses: UInt64 = 0

    @inline(always)
    func requestBegan() { requests &+= 1 }

    @inline(always)
    func responseBegan() { responses &+= 1 }

    func add(_ event: Event) { events[event.rawValue] &+= 1 }

    func add(_ limit: Limit) { limits[limit.rawValue] &+= 1 }

    /// Those that are not 0, by name.
    public var nonZero: [(name: String, count: UInt64)] {
        var counts = self.events
        counts[Event.requests.rawValue] &+= requests
        counts[Event.responses.rawValue] &+= responses
        let events = Event.allCases.map { ($0.name, counts[$0.rawValue]) }
        let limits = Limit.allCases.map { ("limit.\($0.name)", self.limits[$0.rawValue]) }
        return (events + limits).filter { $0.1 > 0 }
    }
}
