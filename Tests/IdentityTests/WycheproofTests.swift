import Identity
import Testing
import Wire

@Suite("Vectors of Project Wycheproof", .enabled(if: Wycheproof.isAtHand))
struct WycheproofTests {
    /// Vectors of signatures whose verdict is not followed, and what becomes of them here.
    private static let exceptions: [Int64: Bool] = [
        // Nothing was signed: no claims, so no token.
        259: false, 264: false, 268: false, 272: false, 320: false, 325: false,
        // The key's own `alg` is another, or `ES521`, which is none.
        346: false, 347: false, 350: false, 351: false,
        // The same bytes as 357, which is valid; their padding was lost.
        367: true, 370: true,
        // A `?` in the base64url.
        372: false, 373: false,
    ]

    @Test("of signatures", arguments: Wycheproof.signatures)
    func signatures(_ vector: Wycheproof.Case) {
        let isValid = Self.exceptions[vector.id] ?? vector.isValid
        #expect(Self.accepts(vector) == isValid)
    }

    @Test("of keys and key sets", arguments: Wycheproof.keySets)
    func keySets(_ vector: Wycheproof.Case) {
        #expect(Self.accepts(vector) == vector.isValid)
    }

    @Test("of signatures and key sets, older", arguments: Wycheproof.crypto)
    func crypto(_ vector: Wycheproof.Case) {
        #expect(Self.accepts(vector) == vector.isValid)
    }

    /// As the issuer of that key set alone would have it.
    private static func accepts(_ vector: Wycheproof.Case) -> Bool {
        let keys: JSONValue
        if case .array = vector.key["keys"] {
            keys = vector.key
        } else {
            keys = .object([.init(name: "keys", value: .array([vector.key]))])
        }
        let isSecret = keys.bytes.contains(Array(#""kty":"oct""#.utf8))
        guard let set = try? KeySet(parsing: keys.bytes, allowsSecrets: isSecret),
            let token = try? CompactToken(parsing: vector.token.utf8.span)
        else { return false }
        guard let keyID = token.header.keyID else {
            return set.keys.contains { $0.verifies(token) }
        }
        return set.key(keyID)?.verifies(token) ?? false
    }
}
