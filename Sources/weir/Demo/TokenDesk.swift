internal import Identity
internal import Wire

/// Who issues the demo's tokens: a key, and the set of keys that the proxy verifies them with.
struct TokenDesk {
    static let issuer = "https://login.\(Mesh.domain)"
    static let audience = "echo"
    static let scope = "echo.talk"
    static let keySetFile = "login.jwks.json"
    static let keyFile = "login.key"
    static let tokenFile = "token"
    /// In seconds; the configuration says the same.
    static let lifetime: Int64 = 12 * 3_600

    private let signer: TokenSigner
    /// Has the signer's name and another key.
    private let forger: TokenSigner
    let keyPEM: [UInt8]
    let keySet: [UInt8]

    /// Nil where OpenSSL fails.
    init?() {
        guard let key = SigningKey(generating: .p256), let pem = key.pem,
            let parts = key.publicParts, let signer = TokenSigner(key),
            let other = SigningKey(generating: .p256),
            let forger = TokenSigner(other, keyID: signer.keyID)
        else { return nil }
        self.signer = signer
        self.forger = forger
        keyPEM = pem
        keySet = KeySet.text(of: [parts.jwk()])
    }

    /// A token for `web`; nil where OpenSSL fails.
    func token(scope: String = Self.scope, isForged: Bool = false) -> String? {
        let now = WallClock.seconds
        let claims: [(name: String, value: JSONValue)] = [
            ("iss", .string(Self.issuer)), ("sub", .string("web")),
            ("aud", .string(Self.audience)), ("iat", .integer(now)),
            ("exp", .integer(now + Self.lifetime)), ("scope", .string(scope)),
        ]
        let members = claims.map { JSONValue.Member(name: $0.name, value: $0.value) }
        let token = (isForged ? forger : signer).mint(.object(members))
        return token.map { String(decoding: $0, as: UTF8.self) }
    }
}
