internal import Configuration
internal import Identity
internal import Proxy
internal import Synchronization

/// Fetches the key sets that the configuration names by URL, in the background, and keeps the last
/// good one of each. The control thread alone uses it; each fetch has a thread of its own, one for
/// a source at a time.
final class KeyFetcher {
    static let fetchesMax = 8

    private struct Source {
        var schedule: KeySchedule
        var entry = TokenKeys.Entry()
        /// In the log only once for each change of fortune.
        var lastFailure: String?
    }

    private struct Outcome: Sendable {
        let source: KeySource
        let result: Result<KeySet, HTTPSFetch.Failure>
    }

    /// What threads bring back.
    private final class Inbox: Sendable {
        let outcomes = Mutex<[Outcome]>([])
    }

    let requests: KeyRequests
    private let waker: Waker
    private let inbox = Inbox()
    private var sources: [KeySource: Source] = [:]
    private var inFlight = 0

    /// - waker: rings when there is something for `turn`.
    init(waker: Waker) {
        self.waker = waker
        requests = KeyRequests(waker: waker)
    }

    /// The sources of another configuration; what both name is kept.
    func install(_ tokens: TokenTerms, at now: Int64) -> TokenKeys {
        var next: [KeySource: Source] = [:]
        for issuer in tokens.issuers {
            guard case .fetched(let source) = issuer.keys else { continue }
            let fresh = Source(schedule: KeySchedule(refresh: source.refresh, now: now))
            next[source] = sources[source] ?? fresh
        }
        sources = next
        return keys
    }

    /// Every source was fetched once, whatever came of it.
    var isSettled: Bool { sources.values.allSatisfy { $0.entry.fetches > 0 } }

    /// When `turn` has something to do by itself.
    var nextDeadline: Int64? {
        guard inFlight < Self.fetchesMax else { return nil }
        return sources.values.filter { !$0.schedule.isFetching }.map(\.schedule.nextAt).min()
    }

    /// Takes what was fetched and fetches what is due. Gives the keys to hand to workers, if a
    /// fetch has ended, and lines for the log.
    func turn(at now: Int64) -> (keys: TokenKeys?, words: [String]) {
        for source in requests.take() { sources[source]?.schedule.asked(at: now) }
        let outcomes = inbox.outcomes.withLock { outcomes in
            defer { outcomes = [] }
            return outcomes
        }
        var words: [String] = []
        for outcome in outcomes {
            inFlight -= 1
            if let line = take(outcome, at: now) { words.append(line) }
        }
        let due = sources.filter { $0.value.schedule.isDue(at: now) }
            .sorted { $0.value.schedule.nextAt < $1.value.schedule.nextAt }
        for (source, _) in due.prefix(Self.fetchesMax - inFlight) { begin(source, at: now) }
        return (outcomes.isEmpty ? nil : keys, words)
    }

    private var keys: TokenKeys { TokenKeys(sources.mapValues(\.entry), requests) }

    private func begin(_ source: KeySource, at now: Int64) {
        sources[source]?.schedule.began()
        let (inbox, waker) = (inbox, waker)
        let isStarted = Thread.start {
            let result = HTTPSFetch.get(
                source.url, authorities: source.authorities, limit: KeySet.bytesMax
            ).flatMap(Self.parse)
            inbox.outcomes.withLock { $0.append(Outcome(source: source, result: result)) }
            waker.ring()
        }
        if isStarted {
            inFlight += 1
        } else {
            sources[source]?.schedule.ended(well: false, at: now, chance: .random(in: 0 ... .max))
        }
    }

    private static func parse(_ bytes: [UInt8]) -> Result<KeySet, HTTPSFetch.Failure> {
        do throws(KeySet.ParseError) {
            return .success(try KeySet(parsing: bytes, allowsSecrets: false))
        } catch {
            return .failure(HTTPSFetch.Failure(words: error.description))
        }
    }

    /// A line for the log where the source's fortune has changed.
    private func take(_ outcome: Outcome, at now: Int64) -> String? {
        guard var source = sources[outcome.source] else { return nil }
        defer { sources[outcome.source] = source }
        source.entry.fetches += 1
        let url = outcome.source.url
        switch outcome.result {
        case .success(let set):
            let isNew = set.digest != source.entry.set?.digest || source.lastFailure != nil
            source.entry.set = set
            source.entry.isFresh = true
            source.lastFailure = nil
            source.schedule.ended(well: true, at: now, chance: .random(in: 0 ... .max))
            guard isNew else { return nil }
            return "keys fetched url=\(url) keys=\(set.keys.count) left_out=\(set.omissions.count)"
        case .failure(let failure):
            source.entry.isFresh = false
            source.schedule.ended(well: false, at: now, chance: .random(in: 0 ... .max))
            guard source.lastFailure != failure.words else { return nil }
            source.lastFailure = failure.words
            let kept = source.entry.set == nil ? "none known yet" : "the last ones stay in use"
            return "keys not fetched url=\(url) reason=\"\(failure.words)\", \(kept)"
        }
    }
}
