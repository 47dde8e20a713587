import Wire

/// One of an upstream's endpoints: each upstream of a simulated proxy has a port of its own.
struct Place: Hashable, CustomStringConvertible {
    let upstream: Int
    let origin: Int

    init(upstream: Int, origin: Int) {
        self.upstream = upstream
        self.origin = origin
    }

    init?(_ address: SocketAddress) {
        guard case .ipv4(let number, let port) = address else { return nil }
        self.init(upstream: Int(port) - Self.firstPort, origin: Int(number) - 0x0A00_0001)
    }

    private static let firstPort = 50_051

    var address: SocketAddress {
        .ipv4(address: 0x0A00_0001 + UInt32(origin), port: UInt16(Self.firstPort + upstream))
    }

    var description: String { "u\(upstream)'s \(address)" }
}

/// What the proxy's log says of its endpoints, and when; judged against what the world saw.
struct EndpointHistory {
    enum Kind: Equatable { case ejected(isByProbe: Bool), returned, unhealthy, healthy }

    struct Event {
        let at: Int64
        let place: Place
        let kind: Kind
        let worker: Int

        var isEjection: Bool { if case .ejected = kind { true } else { false } }
    }

    private(set) var events: [Event] = []

    mutating func read(_ line: String, at time: Int64, worker: Int) {
        guard let place = Self.place(in: line) else { return }
        let kind: Kind
        if line.hasPrefix("endpoint ejected") {
            kind = .ejected(isByProbe: line.contains("reason=probe"))
        } else if line.hasPrefix("endpoint returned") {
            kind = .returned
        } else if line.hasPrefix("endpoint unhealthy") {
            kind = .unhealthy
        } else if line.hasPrefix("endpoint healthy") {
            kind = .healthy
        } else {
            return
        }
        events.append(Event(at: time, place: place, kind: kind, worker: worker))
    }

    private static func place(in line: String) -> Place? {
        let words = line.split(separator: " ")
        let upstream = words.first { $0.hasPrefix("upstream=u") }.flatMap { Int($0.dropFirst(10)) }
        let endpoint = words.first { $0.hasPrefix("endpoint=10.0.0.") }
        let origin = endpoint?.dropFirst(16).split(separator: ":").first.flatMap { Int($0) }
        guard let upstream, let origin else { return nil }
        return Place(upstream: upstream, origin: origin - 1)
    }

    /// From each ejection to what ended it, or to the next.
    func ejections(of place: Place) -> [(from: Int64, until: Int64)] {
        let own = events.filter { $0.place == place && ($0.isEjection || $0.kind == .returned) }
        return own.indices.filter { own[$0].isEjection }.map { index in
            (own[index].at, index + 1 < own.count ? own[index + 1].at : .max)
        }
    }

    /// Since when it has been ejected at that time, in any case; nil where it may not be.
    func ejectedSince(_ place: Place, at time: Int64) -> Int64? {
        let own = events.filter { $0.place == place && ($0.isEjection || $0.kind == .returned) }
        guard let last = own.last(where: { $0.at < time }), last.isEjection,
            !own.contains(where: { $0.at == time && $0.kind == .returned })
        else { return nil }
        return last.at
    }

    func unhealthySince(_ place: Place, at time: Int64) -> Int64? {
        let own = events.filter {
            $0.place == place && ($0.kind == .unhealthy || $0.kind == .healthy)
        }
        guard let last = own.last(where: { $0.at < time }), last.kind == .unhealthy,
            !own.contains(where: { $0.at == time && $0.kind == .healthy })
        else { return nil }
        return last.at
    }

    func hasBeenHealthy(_ place: Place, by time: Int64) -> Bool {
        events.contains { $0.place == place && $0.kind == .healthy && $0.at <= time }
    }

    /// When anything changed within that time.
    func times(from start: Int64, to end: Int64) -> [Int64] {
        events.map(\.at).filter { start <= $0 && $0 <= end }
    }
}

/// Which endpoints upstreams have, and since when.
struct EndpointLists {
    struct Change {
        let upstream: Int
        let places: [Place]
        /// When it was said, and when every worker had heard.
        let at: Int64
        var heardAt = Int64.max
    }

    private(set) var changes: [Change] = []

    mutating func add(_ change: Change) -> Int {
        changes.append(change)
        return changes.count - 1
    }

    mutating func heard(_ index: Int, at time: Int64) { changes[index].heardAt = time }

    /// All lists that some worker may go by at that time.
    func around(_ time: Int64, _ upstream: Int) -> [[Place]] {
        let own = changes.filter { $0.upstream == upstream && $0.at <= time }
        guard let last = own.lastIndex(where: { $0.heardAt < time }) else {
            return own.map(\.places)
        }
        return own[last...].map(\.places)
    }

    /// It was not in a list that holds at some time between these.
    func hasLeft(_ place: Place, between start: Int64, and end: Int64) -> Bool {
        let own = changes.filter { $0.upstream == place.upstream && $0.at <= end }
        return own.indices.contains { index in
            let next = index + 1 < own.count ? own[index + 1].at : .max
            return next >= start && !own[index].places.contains(place)
        }
    }
}
