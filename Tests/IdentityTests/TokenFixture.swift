import Identity
import Wire

/// Tokens and key sets to vary, by a key of every kind. The clock stands at `now`.
enum TokenFixture {
    static let now: Int64 = 1_800_000_000
    static let issuer = "https://login.example"
    static let rsa = SigningKey(generating: .rsa, rsaBits: 2_048)
    static let p256 = SigningKey(generating: .p256)
    static let p384 = SigningKey(generating: .p384)
    static let p521 = SigningKey(generating: .p521)
    static let ed25519 = SigningKey(generating: .ed25519)
    static let secret = Array(
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".utf8)

    static func key(for algorithm: TokenAlgorithm) -> SigningKey? {
        switch algorithm {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: rsa
        case .es256: p256
        case .es384: p384
        case .es512: p521
        case .edDSA: ed25519
        case .hs256, .hs384, .hs512: nil
        }
    }

    /// All keys, each with a `kid` that is its kind; they are for any of their algorithms.
    static let keySetText: String = {
        let names: [(String, SigningKey?)] = [
            ("rsa", rsa), ("p256", p256), ("p384", p384), ("p521", p521), ("ed25519", ed25519),
        ]
        let keys = names.compactMap { name, key in
            key?.publicParts.map { text(of: $0.jwk(.init(keyID: name)), without: "alg") }
        }
        return #"{"keys":[\#(keys.joined(separator: ","))]}"#
    }()

    static let keySet = try? KeySet(parsing: Array(keySetText.utf8), allowsSecrets: false)

    private static func text(of key: JSONValue, without name: String) -> String {
        guard case .object(let members) = key else { return "" }
        let object = JSONValue.object(members.filter { $0.name != name })
        return String(decoding: object.bytes, as: UTF8.self)
    }

    static func terms(_ algorithms: [TokenAlgorithm] = TokenAlgorithm.asymmetric) -> TokenIssuer {
        TokenIssuer(
            name: "login", issuer: issuer, audiences: ["orders"], algorithms: algorithms)
    }

    static let usualClaims = claims()

    /// - changes: members in JSON, replaced by name; `null` is written as such, nothing removes it.
    static func claims(_ changes: KeyValuePairs<String, String> = [:]) -> String {
        var members: [(String, String)] = [
            ("iss", "\"\(issuer)\""), ("sub", "\"alice\""), ("aud", "\"orders\""),
            ("exp", "\(now + 300)"), ("iat", "\(now)"), ("scope", "\"orders.read\""),
        ]
        for (name, value) in changes {
            members.removeAll { $0.0 == name }
            if !value.isEmpty { members.append((name, value)) }
        }
        return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    static func header(_ algorithm: TokenAlgorithm = .es256) -> String {
        #"{"alg":"\#(algorithm.rawValue)","kid":"\#(keyID(algorithm))","typ":"JWT"}"#
    }

    static func keyID(_ algorithm: TokenAlgorithm) -> String {
        switch algorithm {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: "rsa"
        case .es256: "p256"
        case .es384: "p384"
        case .es512: "p521"
        case .edDSA: "ed25519"
        case .hs256, .hs384, .hs512: "secret"
        }
    }

    static func encoded(_ text: String) -> String { Base64URL.text(of: Array(text.utf8)) }

    /// A token of exactly that header and those claims, well signed.
    static func token(
        header: String = TokenFixture.header(), claims: String = TokenFixture.usualClaims,
        _ algorithm: TokenAlgorithm = .es256
    ) -> String {
        let signed = encoded(header) + "." + encoded(claims)
        let signature = key(for: algorithm)?.sign(Array(signed.utf8), algorithm) ?? []
        return signed + "." + Base64URL.text(of: signature)
    }

    /// What becomes of a token at `now`; nil where it is accepted.
    static func refusal(
        of token: String, _ terms: TokenIssuer = terms(), keys: KeySet? = keySet,
        fingerprint: [UInt8]? = nil
    ) -> TokenRefusal? {
        switch TokenVerifier([terms]).verify(token.utf8.span, keys: [keys]) {
        case .refused(let refusal, _): refusal
        case .verified(let token): terms.refusal(of: token, at: now, fingerprint: fingerprint)
        case .unavailable: .keyMissing
        }
    }
}
