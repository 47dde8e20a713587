internal import Rules

/// Which of an upstream's endpoints take part, and which is next, as one worker sees it.
///
/// An attempt's endpoint is looked for among all endpoints that are available, or among all of them
/// where so few are that those would be overrun (`isPanicking`). They are in two groups: `home`,
/// and with zones also `away`, which gets what the zone cannot take. The groups are made anew when
/// an endpoint is found unavailable, and every `lookNanoseconds` while they may have to change.
struct Balancer {
    /// How late an endpoint that is available again may be noticed.
    private static let lookNanoseconds: Int64 = 50_000_000

    private(set) var home = BalanceGroup()
    private(set) var away = BalanceGroup()
    private(set) var isPanicking = false
    /// How many of how many are available, when it was last looked.
    private(set) var availableCount = 0
    private(set) var count = 0
    /// Some endpoints are unavailable.
    private(set) var isPartial = false
    private(set) var terms: BalanceTerms
    /// Of the endpoints that take part.
    private var totalWeight = 0
    private var homeShare = 1.0
    private var lookAt = Int64.max
    private var hasLooked = false
    var draws: Draws

    /// By hash: all endpoints, in the order of the owners in `table`.
    private(set) var owners: [Borrowed<Endpoint>] = []
    private(set) var table = HashTable()
    private var tableTerms: [EndpointTerms] = []

    init(_ terms: BalanceTerms, draw: UInt64) {
        self.terms = terms
        draws = Draws(seed: draw)
    }

    mutating func update(_ newTerms: BalanceTerms) {
        guard newTerms != terms else { return }
        terms = newTerms
        home = BalanceGroup()
        away = BalanceGroup()
        tableTerms = []
    }

    // MARK: Who takes part

    @inline(always)
    func isOutdated(now: Int64) -> Bool { now >= lookAt }

    /// One of those that take part is not available any more.
    mutating func outdate() { lookAt = .min }

    /// Makes the groups from `endpoints`, which outlive them.
    mutating func look(at endpoints: [Endpoint], now: Int64) {
        let available = endpoints.filter(\.isAvailable)
        count = endpoints.count
        availableCount = available.count
        isPartial = availableCount < count
        isPanicking = isPartial && terms.isPanic(available: availableCount, of: count)
        let changes = isPartial || terms.zones != nil || terms.slowStart != nil
        lookAt = changes ? now + Self.lookNanoseconds : .max
        if terms.slowStart != nil { warm(endpoints, now) }
        let chosen = isPanicking ? endpoints : available
        totalWeight = chosen.reduce(0) { $0 + Int($1.terms.weight) }
        if terms.isByHash { makeTable(endpoints) }
        divide(chosen, of: endpoints, now)
        hasLooked = hasLooked || !endpoints.isEmpty
    }

    private func warm(_ endpoints: [Endpoint], _ now: Int64) {
        for endpoint in endpoints {
            endpoint.warming.seen(isUsable: endpoint.isUsable, isFirst: !hasLooked, now: now)
        }
    }

    private mutating func makeTable(_ endpoints: [Endpoint]) {
        owners = endpoints.map { Borrowed($0) }
        let newTerms = endpoints.map(\.terms)
        guard newTerms != tableTerms else { return }
        tableTerms = newTerms
        let keys = newTerms.map {
            HashTable.Owner(key: Array("\($0.address)".utf8), weight: $0.weight)
        }
        table = terms.algorithm == .maglev ? .maglev(keys) : .ring(keys)
    }

    private mutating func divide(_ chosen: [Endpoint], of all: [Endpoint], _ now: Int64) {
        guard let zones = terms.zones, !isPanicking else {
            homeShare = 1
            take(chosen, into: \.home, now)
            return take([], into: \.away, now)
        }
        let local = chosen.filter { $0.terms.zone == zones.local }
        let localCount = all.count { $0.terms.zone == zones.local }
        homeShare = zones.localShare(usable: local.count(where: \.isUsable), of: localCount)
        take(local, into: \.home, now)
        take(chosen.filter { $0.terms.zone != zones.local }, into: \.away, now)
    }

    private mutating func take(
        _ endpoints: [Endpoint], into group: WritableKeyPath<Balancer, BalanceGroup>, _ now: Int64
    ) {
        let weights = endpoints.map { endpoint in
            guard let terms = terms.slowStart else { return endpoint.terms.weight }
            return endpoint.warming.weight(endpoint.terms.weight, now: now, terms)
        }
        self[keyPath: group].take(endpoints, weights, terms.algorithm, draw: draws.next())
    }

    // MARK: Choosing

    /// Nothing but whose turn it is decides, until one of them is found unavailable.
    var takesTurns: Bool {
        terms.algorithm == .roundRobin && !terms.isByHash && lookAt == .max && away.isEmpty
            && !home.isWeighted
    }

    /// Whether this one is for another zone.
    @inline(always)
    mutating func leaves() -> Bool { homeShare < 1 && draws.fraction() >= homeShare }

    /// Round robin: whose turn it is.
    @inline(always)
    mutating func turn(isAway: Bool) -> Int { isAway ? away.turn() : home.turn() }

    /// At how many of so many places to look: the first, and where that took nothing all others.
    /// Where they do not follow it, it may be among them once more.
    @inline(always)
    func looks(of count: Int) -> Int {
        terms.algorithm == .roundRobin || count == 0 ? count : count &+ 1
    }

    /// Where to look on when the one at `start` took nothing: endpoints that take turns follow each
    /// other, but the next in a list must not get all that would have been another's.
    mutating func restart(after start: Int, of count: Int) -> Int {
        terms.algorithm == .roundRobin ? start : draws.next(below: max(1, count))
    }

    /// The endpoint at `index` was taken.
    @inline(always)
    mutating func took(_ index: Int, isAway: Bool) {
        if isAway { away.took(index) } else { home.took(index) }
    }

    /// Whether an endpoint may get more of what belongs to it.
    ///
    /// - total: requests at all endpoints.
    func allows(_ endpoint: Endpoint, total: Int) -> Bool {
        guard let limit = terms.loadLimit else { return true }
        let weight = Int(endpoint.terms.weight)
        return limit.allows(
            inFlight: endpoint.inFlight, total: total, share: (weight, max(weight, totalWeight)))
    }
}
