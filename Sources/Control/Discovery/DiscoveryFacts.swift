internal import Proxy
internal import Rules

/// What is known of one source of endpoints, for those who ask.
struct DiscoveryFacts: Sendable {
    var endpoints: [EndpointTerms] = []
    /// When it gave a good answer last, in nanoseconds since 1970; nil is never.
    var answeredAt: Int64?
    /// Until when that answer holds; nil for files, which hold until they change.
    var expiresAt: Int64?
    /// Why there is no newer answer; nil where the last one was good.
    var lastError: String?
    var answers: UInt64 = 0
    var failures: UInt64 = 0
    /// How often the endpoints became others than they were, the first time included.
    var changes: UInt64 = 0
}

/// How a list of endpoints became another.
struct EndpointChange {
    /// What one line of the log names, of those that came and of those that went.
    static let namedMax = 10

    let added: [EndpointTerms]
    let removed: [EndpointTerms]
    let count: Int

    /// Nil where both are the same.
    init?(from old: [EndpointTerms], to new: [EndpointTerms]) {
        if old == new { return nil }
        let before = Dictionary(old.map { ($0.address, $0) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.address, $0) }) { first, _ in first }
        added = new.filter { before[$0.address] != $0 }
        removed = old.filter { after[$0.address] == nil }
        count = new.count
    }

    /// `added=[…] removed=[…] endpoints=3`; an endpoint with other terms counts as added.
    var words: String {
        "added=[\(Self.some(added))] removed=[\(Self.some(removed))] endpoints=\(count)"
    }

    private static func some(_ endpoints: [EndpointTerms]) -> String {
        let more = endpoints.count - namedMax
        let words = endpoints.prefix(namedMax).map(\.description).joined(separator: ", ")
        return more > 0 ? words + " and \(more) more" : words
    }
}
