internal import Configuration
internal import Identity
internal import Rules
internal import Wire

/// A verified token as a worker keeps it, with all that a request needs of it.
final class CachedToken {
    let bytes: [UInt8]
    let token: VerifiedToken
    /// The times at which nothing but a certificate could speak against it.
    let window: Range<Int64>
    let isBound: Bool
    let forwards: Bool
    let forRules: AccessToken
    let headers: [(name: [UInt8], value: [UInt8])]

    init(_ bytes: [UInt8], _ token: VerifiedToken, by terms: TokenIssuerTerms) {
        self.bytes = bytes
        self.token = token
        window = terms.issuer.window(of: token)
        isBound = token.certificate != nil
        forwards = terms.forwards
        forRules = .valid(AccessClaims(issuer: token.issuerIndex, claims: token.claims))
        headers = terms.headers.compactMap { header in
            token.claims.fieldValue(of: header.claim).map { (header.name, $0) }
        }
    }
}

/// The verified tokens of one worker, by all their bytes, under the issuers and keys of its
/// configuration: what changes these empties it.
///
/// A set-associative table: a token has its place in one of `ways` slots, and takes the one that
/// was not used for longest. Only tokens with a right signature come in, so that strangers can put
/// nothing out.
final class TokenCache {
    static let ways = 8
    static let sets = 512
    /// Of tokens' own bytes; what they hold takes several times as much.
    static let bytesMax = 4 << 20

    private struct Slot {
        var hash: UInt64 = 0
        var usedAt: UInt64 = 0
        var entry: Borrowed<CachedToken>?
    }

    private var slots = [Slot](repeating: Slot(), count: TokenCache.ways * TokenCache.sets)
    /// Keeps the entries of the same slots.
    private var owners = [CachedToken?](repeating: nil, count: TokenCache.ways * TokenCache.sets)
    private var uses: UInt64 = 0
    private(set) var byteCount = 0
    private(set) var count = 0
    /// Another number whenever an entry has gone: what was remembered outside may be it.
    private(set) var epoch: UInt64 = 1
    private let key: UInt64
    /// Where entries are taken from when there are too many bytes.
    private var hand = 0

    /// - key: random, so that nobody can tell which tokens share a set.
    init(key: UInt64) { self.key = key }

    /// Used before its slot's others next.
    func find(_ bytes: ByteView) -> Borrowed<CachedToken>? {
        let hash = bytes.use { TokenHash.of($0, key) }
        let start = Self.start(hash)
        for index in start..<(start + Self.ways) where slots[index].hash == hash {
            guard let entry = slots[index].entry,
                entry.use({ bytes.hasSameBytes(as: $0.bytes) })
            else { continue }
            uses &+= 1
            slots[index].usedAt = uses
            return entry
        }
        return nil
    }

    func insert(_ entry: CachedToken) -> Borrowed<CachedToken> {
        let bytes = entry.bytes
        let hash = TokenHash.of(bytes.span, key)
        let start = Self.start(hash)
        var place = start
        for index in start..<(start + Self.ways) {
            guard slots[index].entry != nil else {
                place = index
                break
            }
            if slots[index].usedAt < slots[place].usedAt { place = index }
        }
        remove(at: place)
        while byteCount + entry.bytes.count > Self.bytesMax {
            remove(at: hand)
            hand = (hand + 1) % slots.count
        }
        uses &+= 1
        let borrowed = Borrowed(entry)
        slots[place] = Slot(hash: hash, usedAt: uses, entry: borrowed)
        owners[place] = entry
        byteCount += entry.bytes.count
        count += 1
        return borrowed
    }

    func removeAll() { for index in slots.indices { remove(at: index) } }

    private func remove(at index: Int) {
        guard let owner = owners[index] else { return }
        byteCount -= owner.bytes.count
        count -= 1
        epoch &+= 1
        slots[index] = Slot()
        owners[index] = nil
    }

    private static func start(_ hash: UInt64) -> Int { Int(hash >> 32) % sets * ways }
}

/// What a connection remembers of its last token: most callers send one for a long time.
struct TokenMemo {
    private var entry: Borrowed<CachedToken>?
    private var epoch: UInt64 = 0

    func find(_ bytes: ByteView, in cache: TokenCache) -> Borrowed<CachedToken>? {
        guard epoch == cache.epoch, let entry, entry.use({ bytes.hasSameBytes(as: $0.bytes) })
        else { return nil }
        return entry
    }

    mutating func remember(_ entry: Borrowed<CachedToken>, in cache: TokenCache) {
        self.entry = entry
        epoch = cache.epoch
    }
}

/// A keyed hash that takes sixteen bytes at a time. It decides where a token is looked for, never
/// whether it is the same.
enum TokenHash {
    static func of(_ bytes: Span<UInt8>, _ key: UInt64) -> UInt64 {
        var (first, second) = (key, ~key &+ UInt64(truncatingIfNeeded: bytes.count))
        var index = 0
        while index &+ 16 <= bytes.count {
            first = mix(first ^ bytes.word(at: index))
            second = mix(second ^ bytes.word(at: index &+ 8))
            index &+= 16
        }
        if index &+ 8 <= bytes.count {
            first = mix(first ^ bytes.word(at: index))
            index &+= 8
        }
        second ^= bytes.lastBytes(bytes.count &- index)
        return mix(mix(first) ^ mix(second &+ 0x9e37_79b9_7f4a_7c15))
    }

    @inline(__always)
    private static func mix(_ word: UInt64) -> UInt64 {
        let product = word &* 0xbf58_476d_1ce4_e5b9
        return product ^ (product &>> 29)
    }
}

extension JSONValue {
    /// What a header field can say of a claim: text, a whole number, true or false, or a list of
    /// these with commas; nil for anything else, for what is no visible ASCII, and for more than
    /// `fieldBytesMax`.
    fileprivate func fieldValue(of claim: String) -> [UInt8]? {
        guard let value = self[claim] ?? inner(claim) else { return nil }
        let text: [UInt8]
        if case .array(let values) = value {
            let parts = values.compactMap { $0.scalarText }
            guard parts.count == values.count, !parts.contains(where: { $0.contains(0x2c) }) else {
                return nil
            }
            text = Array(parts.joined(separator: [0x2c]))
        } else {
            guard let scalar = value.scalarText else { return nil }
            text = scalar
        }
        guard text.count <= Self.fieldBytesMax, text.first != 0x20, text.last != 0x20 else {
            return nil
        }
        return text
    }

    private static var fieldBytesMax: Int { 1_024 }

    /// `a.b` is the member b of the claim a.
    private func inner(_ claim: String) -> JSONValue? {
        var value = self
        for name in claim.split(separator: ".") {
            guard let member = value[String(name)] else { return nil }
            value = member
        }
        return value
    }

    private var scalarText: [UInt8]? {
        switch self {
        case .string(let text):
            text.utf8.allSatisfy { (0x20...0x7e).contains($0) } ? Array(text.utf8) : nil
        case .integer(let number): Array("\(number)".utf8)
        case .bool(let value): Array((value ? "true" : "false").utf8)
        case .null, .number, .array, .object: nil
        }
    }
}
