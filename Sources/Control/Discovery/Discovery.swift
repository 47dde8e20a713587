internal import Configuration
internal import Proxy
internal import Rules

/// Finds the endpoints of upstreams that name a source of them: DNS, or a file. Keeps the last good
/// list of each, whatever happens to the source. The control thread alone uses it.
final class Discovery {
    /// Lookups at once; others wait for their turn.
    static let lookupsMax = 32
    private static let quietNanoseconds: Int64 = 200_000_000
    /// When files that never rest are read all the same.
    private static let unrestNanoseconds: Int64 = 5_000_000_000

    /// One source, however many upstreams name it.
    private struct Entry {
        var facts = DiscoveryFacts()
        /// Nil until there was a good answer.
        var list: EndpointList?
        /// It was asked once, whatever came of it.
        var isAsked = false
        /// How it failed last, in the log only once for each change of fortune.
        var lastFailure: String?
    }

    /// What a turn has brought.
    struct News {
        /// For workers, if there is any.
        var endpoints: DiscoveredEndpoints?
        var lines: [(level: EventLog.Level, words: String)] = []
        /// Whoever asks over the ports is to know.
        var hasFacts = false
    }

    private let poll = NamePoll()
    private let fileWatch = FileWatch()
    private let requests: EndpointRequests
    private var entries: [EndpointSource: Entry] = [:]
    private var names: [EndpointSource: NameSource] = [:]
    private var watchesFiles = true
    private var changedAt: Int64?
    private var firstChangedAt: Int64 = 0
    private var news = News()

    /// - waker: rings when there is something for `turn`.
    init(waker: Waker) { requests = EndpointRequests(waker: waker) }

    /// To be polled; `turn` has something to do where they are readable.
    var descriptors: [Int32] { [poll.descriptor, fileWatch.descriptor] }

    var facts: [EndpointSource: DiscoveryFacts] { entries.mapValues(\.facts) }

    /// Every source was asked once. Nobody's readiness waits for longer than that.
    var isSettled: Bool { entries.values.allSatisfy(\.isAsked) }

    // MARK: Configurations

    /// The sources of another configuration; what was found by those that both name, or that ask
    /// the same under other terms, stays. Gives all there is, for the workers.
    func install(
        _ upstreams: [UpstreamTerms], watchesFiles: Bool, at now: Int64
    ) -> DiscoveredEndpoints {
        self.watchesFiles = watchesFiles
        var next: [EndpointSource: Entry] = [:]
        var nextNames: [EndpointSource: NameSource] = [:]
        for source in upstreams.compactMap(\.source) where next[source] == nil {
            next[source] = entries[source] ?? Entry()
            guard case .dns(let terms) = source else { continue }
            if let known = names[source] {
                nextNames[source] = known
            } else if let (old, name) = names.first(where: { $1.terms.asksTheSame(as: terms) }) {
                nextNames[source] = NameSource(terms, after: name, at: now)
                next[source] = entries[old]
            } else {
                nextNames[source] = NameSource(terms, at: now)
            }
        }
        entries = next
        names = nextNames
        readFiles(at: now)
        return endpoints
    }

    private var endpoints: DiscoveredEndpoints {
        DiscoveredEndpoints(entries.compactMapValues(\.list), requests)
    }

    // MARK: The turn

    /// When `turn` has something to do by itself.
    func nextDeadline(at now: Int64) -> Int64? {
        let isFull = names.values.count(where: \.isAsking) >= Self.lookupsMax
        let next = names.values.lazy.filter { $0.isAsking || !isFull }
            .compactMap { $0.nextDeadline(at: now) }.min()
        guard let changedAt else { return next }
        return min(next ?? .max, changedAt + Self.quietNanoseconds)
    }

    /// Takes what came, and asks what is due.
    func turn(at now: Int64) -> News {
        for source in requests.take() { names[source]?.asked(at: now) }
        for (socket, readable, writable) in poll.ready() {
            let owner = names.first { $0.value.owns(socket) }
            owner?.value.became(socket, readable: readable, writable: writable)
        }
        for source in names.keys {
            guard let (outcome, ttl) = names[source]?.turn(at: now) else { continue }
            take(outcome, ttl: ttl, of: source)
        }
        beginDue(at: now)
        lookAtFiles(at: now)
        defer { news = News() }
        return news
    }

    private func beginDue(at now: Int64) {
        let room = Self.lookupsMax - names.values.count(where: \.isAsking)
        guard room > 0 else { return }
        let due = names.filter { $0.value.schedule.isDue(at: now) }
            .sorted { $0.value.schedule.nextAt < $1.value.schedule.nextAt }
        for (source, _) in due.prefix(room) {
            // A name or a server that is no such thing may have failed at once.
            if let outcome = names[source]?.begin(poll, at: now) {
                take(outcome, ttl: 0, of: source)
            }
            guard let (outcome, ttl) = names[source]?.turn(at: now) else { continue }
            take(outcome, ttl: ttl, of: source)
        }
    }

    private func take(_ outcome: NameLookup.Outcome, ttl: Int64, of source: EndpointSource) {
        if outcome.omitted > 0 {
            warnOfOmission(outcome, source)
        }
        let found = outcome.found?.map(\.terms)
        take(found, failure: outcome.failure, of: source)
        if found != nil {
            entries[source]?.facts.expiresAt = Waiting.nowSince1970() + ttl
        }
    }

    private func warnOfOmission(_ outcome: NameLookup.Outcome, _ source: EndpointSource) {
        guard let facts = entries[source]?.facts, facts.endpoints != outcome.found?.map(\.terms)
        else { return }
        let words = "too many endpoints source=\"\(source)\" left_out=\(outcome.omitted)"
        news.lines.append((.warning, words))
    }

    /// A source has answered, or failed, or both in part.
    private func take(_ found: [EndpointTerms]?, failure: String?, of source: EndpointSource) {
        guard var entry = entries[source] else { return }
        defer { entries[source] = entry }
        entry.isAsked = true
        news.hasFacts = true
        entry.facts.lastError = failure
        if let found {
            entry.facts.answers += 1
            entry.facts.answeredAt = Waiting.nowSince1970()
            take(found, of: source, &entry)
        }
        guard let failure else {
            if entry.lastFailure != nil {
                news.lines.append((.notice, "endpoints found again source=\"\(source)\""))
            }
            entry.lastFailure = nil
            return
        }
        entry.facts.failures += 1
        guard entry.lastFailure != failure else { return }
        entry.lastFailure = failure
        let kept = entry.list == nil ? "none known yet" : "the last ones stay in use"
        news.lines.append(
            (.warning, "endpoints not found source=\"\(source)\" reason=\"\(failure)\", \(kept)"))
    }

    private func take(
        _ found: [EndpointTerms], of source: EndpointSource, _ entry: inout Entry
    ) {
        let change = EndpointChange(from: entry.facts.endpoints, to: found)
        guard entry.list == nil || change != nil else { return }
        entry.list = EndpointList(found)
        entry.facts.endpoints = found
        entry.facts.changes += 1
        let words = change?.words ?? "endpoints=0"
        news.lines.append((.notice, "endpoints changed source=\"\(source)\" \(words)"))
        var entries = entries
        entries[source] = entry
        news.endpoints = DiscoveredEndpoints(entries.compactMapValues(\.list), requests)
    }

    // MARK: Files

    /// Reads all files again, whether or not they seem to have changed. Their news are the next
    /// turn's.
    func readFiles(at now: Int64) {
        changedAt = nil
        let began = Waiting.nowSince1970()
        var paths: [String] = []
        for case .file(let path) in entries.keys {
            paths.append(path)
            switch EndpointFile.read(path) {
            case .success(let endpoints): take(endpoints, failure: nil, of: .file(path))
            case .failure(let failure): take(nil, failure: failure.words, of: .file(path))
            }
        }
        fileWatch.watch(watchesFiles ? paths : [], readSince: began)
    }

    /// A change is read once nothing has moved for a while, as with configurations.
    private func lookAtFiles(at now: Int64) {
        fileWatch.silence()
        if fileWatch.hasMoved() {
            if changedAt == nil { firstChangedAt = now }
            changedAt = now
        }
        guard let changedAt else { return }
        let isQuiet = now >= changedAt + Self.quietNanoseconds
        if isQuiet || now >= firstChangedAt + Self.unrestNanoseconds { readFiles(at: now) }
    }
}
