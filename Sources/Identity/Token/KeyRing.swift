public import Wire

/// The public keys that an issuer publishes, through rotations. The key that will sign next is in
/// the set before it signs, and one that no longer does stays until its last token has expired: at
/// no moment does somebody meet a token by a key that was not published for long.
///
///     next -> signing -> retired -> gone
public struct KeyRing: Sendable {
    /// The member of a retired key that says until when it is published, in seconds since 1970.
    private static let retirement = "weir_retires"

    public private(set) var entries: [JSONValue] = []

    public init() {}

    /// - jwks: a key set as `text` made it.
    public init(parsing jwks: [UInt8]) throws(KeySet.ParseError) {
        _ = try KeySet(parsing: jwks, allowsSecrets: false)
        guard case .array(let entries) = (try? JSONParser.parse(jwks.span))?["keys"] else {
            throw .notKeySet
        }
        self.entries = entries
    }

    public var text: [UInt8] { KeySet.text(of: entries) + [UInt8(ascii: "\n")] }

    /// Adds a key, which may sign from now on or later.
    public mutating func publish(_ key: JSONValue) {
        guard !entries.contains(where: { $0["kid"] == key["kid"] }) else { return }
        entries.append(key)
    }

    /// Retires all keys but those of these names until `time`; those that were retired before keep
    /// their own time.
    public mutating func retire(allBut keyIDs: [String], until time: Int64) {
        entries = entries.map { entry in
            guard case .object(var members) = entry, case .string(let keyID) = entry["kid"],
                !keyIDs.contains(keyID), entry[Self.retirement] == nil
            else { return entry }
            members.append(.init(name: Self.retirement, value: .integer(time)))
            return .object(members)
        }
    }

    /// Removes the keys that were retired until `now` or before.
    public mutating func removeRetired(by now: Int64) {
        entries.removeAll { entry in
            guard case .integer(let time) = entry[Self.retirement] else { return false }
            return time <= now
        }
    }
}
