internal import Proxy
internal import Rules

/// A name that is looked up again and again: when, with what in flight, and what came of it last.
struct NameSource {
    let terms: DNSTerms
    private(set) var schedule: ResolutionSchedule
    private(set) var found: [NameLookup.Found]?
    private var lookup: NameLookup?
    private var channel: NameChannel?

    init(_ terms: DNSTerms, at now: Int64) {
        self.terms = terms
        schedule = ResolutionSchedule(now: now)
    }

    /// The same name under other terms: what was found stays.
    init(_ terms: DNSTerms, after earlier: NameSource, at now: Int64) {
        self.init(terms, at: now)
        found = earlier.found
    }

    var isAsking: Bool { channel != nil }

    /// When something is to be done by itself.
    func nextDeadline(at now: Int64) -> Int64? {
        guard let channel else { return schedule.nextAt }
        return channel.left.map { now + $0 }
    }

    mutating func asked(at now: Int64) { schedule.asked(at: now, chance: .random(in: 0 ... .max)) }

    /// Gives an outcome where it could not even begin.
    mutating func begin(_ poll: NamePoll, at now: Int64) -> NameLookup.Outcome? {
        schedule.began()
        guard let channel = NameChannel(terms, poll) else {
            schedule.failed(at: now, chance: .random(in: 0 ... .max))
            return NameLookup.Outcome(failure: "no descriptor or memory is left")
        }
        var lookup = NameLookup(terms, earlier: found ?? [])
        for question in lookup.begin() { channel.ask(question) }
        self.channel = channel
        self.lookup = lookup
        return nil
    }

    func owns(_ socket: Int32) -> Bool { channel?.owns(socket) ?? false }

    func became(_ socket: Int32, readable: Bool, writable: Bool) {
        channel?.became(socket, readable: readable, writable: writable)
    }

    /// Takes what came, and what did not come in time. Gives an outcome once the lookup is over,
    /// and for how long it holds.
    mutating func turn(at now: Int64) -> (outcome: NameLookup.Outcome, ttl: Int64)? {
        guard let channel, var lookup else { return nil }
        if let left = channel.left, left <= 0 { channel.expire() }
        while true {
            let replies = channel.take()
            if replies.isEmpty { break }
            for (question, reply) in replies {
                for next in lookup.answered(question, reply) { channel.ask(next) }
            }
        }
        self.lookup = lookup
        return lookup.isOver ? end(lookup.outcome, at: now) : nil
    }

    private mutating func end(
        _ outcome: NameLookup.Outcome, at now: Int64
    ) -> (outcome: NameLookup.Outcome, ttl: Int64) {
        channel = nil
        lookup = nil
        let chance = UInt64.random(in: 0 ... .max)
        var outcome = outcome
        if outcome.found?.isEmpty == true, !terms.takesEmpty, found?.isEmpty == false {
            outcome.found = nil
            outcome.failure = "the name has no addresses"
        }
        if let found = outcome.found { self.found = found }
        guard outcome.found != nil, outcome.failure == nil else {
            schedule.failed(at: now, chance: chance)
            return (outcome, 0)
        }
        let ttl = schedule.answered(
            ttl: outcome.ttl, within: terms.ttlMin...terms.ttlMax, at: now, chance: chance)
        return (outcome, ttl)
    }
}
