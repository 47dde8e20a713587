public import Configuration
public import Identity
internal import Synchronization

/// The fetched key sets as they are now, handed to every worker whenever a fetch has ended.
public final class TokenKeys: Sendable {
    public struct Entry: Sendable {
        /// The last good one; nil before there was any.
        public var set: KeySet?
        /// How many fetches have ended, and whether the last of them went well.
        public var fetches: UInt64 = 0
        public var isFresh = false

        public init() {}
    }

    public static let none = TokenKeys([:], KeyRequests(waker: nil))

    public let entries: [KeySource: Entry]
    let requests: KeyRequests

    public init(_ entries: [KeySource: Entry], _ requests: KeyRequests) {
        self.entries = entries
        self.requests = requests
    }
}

/// Key sets that workers want fetched before their time.
public final class KeyRequests: Sendable {
    private let wanted = Mutex<Set<KeySource>>([])
    private let waker: Waker?

    public init(waker: Waker?) { self.waker = waker }

    func ask(for source: KeySource) {
        let isNew = wanted.withLock { $0.insert(source).inserted }
        if isNew { waker?.ring() }
    }

    public func take() -> Set<KeySource> {
        wanted.withLock { wanted in
            defer { wanted = [] }
            return wanted
        }
    }
}

/// What a worker knows of one fetched key set beside the set itself.
struct KeySourceState {
    static let askedMax = 64
    static let unknownMax = 256
    /// How long a `kid` that no fetch brought is not asked for again.
    static let unknownNanoseconds: Int64 = 60_000_000_000

    /// Names of keys that made the worker ask, since the last fetch ended.
    private var asked: Set<[UInt8]> = []
    private var unknown: [[UInt8]: Int64] = [:]
    var unknownCount: Int { unknown.count }

    /// Whether it is known that no key has that name.
    func isUnknown(_ keyID: [UInt8], at now: Int64) -> Bool { now < unknown[keyID] ?? .min }

    mutating func willAsk(for keyID: [UInt8]) {
        if asked.count < Self.askedMax { asked.insert(keyID) }
    }

    /// A fetch has ended; what was asked for and is still not there is not there at all.
    mutating func fetched(_ entry: TokenKeys.Entry, at now: Int64) {
        defer { asked = [] }
        guard entry.isFresh, let set = entry.set else { return }
        if unknown.count > Self.unknownMax - Self.askedMax { unknown = [:] }
        for keyID in asked where !set.has(keyID) {
            unknown[keyID] = now + Self.unknownNanoseconds
        }
        unknown = unknown.filter { now < $0.value && !set.has($0.key) }
    }
}

extension KeySet {
    /// Empty means a token that names none.
    fileprivate func has(_ keyID: [UInt8]) -> Bool {
        !keyID.isEmpty && key(String(decoding: keyID, as: UTF8.self)) != nil
    }
}
