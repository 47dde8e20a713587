import Identity
import Testing
import Wire

@Suite("Tokens")
struct TokenTests {
    @Test(
        "of every algorithm are verified, and say what they say",
        arguments: TokenAlgorithm.asymmetric)
    func verifies(_ algorithm: TokenAlgorithm) throws {
        let token = TokenFixture.token(header: TokenFixture.header(algorithm), algorithm)
        let terms = TokenFixture.terms([algorithm])
        let outcome = TokenVerifier([terms]).verify(
            token.utf8.span, keys: [TokenFixture.keySet])
        guard case .verified(let verified) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(verified.issuer == "login")
        #expect(verified.subject == "alice")
        #expect(verified.audiences == ["orders"])
        #expect(verified.expiresAt == TokenFixture.now + 300)
        #expect(verified.claims["scope"] == .string("orders.read"))
        #expect(terms.refusal(of: verified, at: TokenFixture.now, fingerprint: nil) == nil)
    }

    @Test("that the signer makes are verified", arguments: TokenAlgorithm.asymmetric)
    func signs(_ algorithm: TokenAlgorithm) throws {
        let key = try #require(TokenFixture.key(for: algorithm))
        let signer = try #require(TokenSigner(key, algorithm))
        let claims = try JSONParser.parse(TokenFixture.usualClaims.utf8.span)
        let token = try #require(signer.mint(claims))
        let jwk = try #require(key.publicParts?.jwk(.init(algorithm: algorithm)))
        let set = try KeySet(parsing: KeySet.text(of: [jwk]), allowsSecrets: false)
        let text = String(decoding: token, as: UTF8.self)
        #expect(TokenFixture.refusal(of: text, TokenFixture.terms([algorithm]), keys: set) == nil)
        #expect(set.keys.first?.keyID == signer.keyID)
    }

    @Test("by a secret are verified where there is nothing but that secret")
    func secrets() throws {
        let set = KeySet(secret: TokenFixture.secret)
        let text = Base64URL.text(of: TokenFixture.secret)
        let jwk = #"{"keys":[{"kty":"oct","kid":"secret","k":"\#(text)"}]}"#
        let named = try KeySet(parsing: Array(jwk.utf8), allowsSecrets: true)
        for algorithm in TokenAlgorithm.symmetric {
            let signed =
                TokenFixture.encoded(TokenFixture.header(algorithm)) + "."
                + TokenFixture.encoded(TokenFixture.usualClaims)
            let code = try #require(
                MessageCode.of(Array(signed.utf8), TokenFixture.secret, algorithm))
            let token = signed + "." + Base64URL.text(of: code)
            let terms = TokenFixture.terms([algorithm])
            #expect(TokenFixture.refusal(of: token, terms, keys: set) == nil)
            #expect(TokenFixture.refusal(of: token, terms, keys: named) == nil)
            #expect(TokenFixture.refusal(of: token) == .algorithmNotAllowed)
            let wrong = KeySet(secret: Array(TokenFixture.secret.reversed()))
            #expect(TokenFixture.refusal(of: token, terms, keys: wrong) == .signature)
        }
        #expect(throws: KeySet.ParseError.mixed) {
            let mixed = jwk.replacing("]}", with: ",") + TokenFixture.keySetText.dropFirst(9)
            _ = try KeySet(parsing: Array(mixed.utf8), allowsSecrets: true)
        }
        #expect(try KeySet(parsing: Array(jwk.utf8), allowsSecrets: false).keys.isEmpty)
    }

    @Test("of an issuer whose keys are not at hand are neither good nor bad")
    func unavailable() {
        let outcome = TokenVerifier([TokenFixture.terms()]).verify(
            TokenFixture.token().utf8.span, keys: [nil])
        guard case .unavailable(0) = outcome else {
            Issue.record("\(outcome)")
            return
        }
    }

    @Test("are their issuer's alone, whoever else is trusted")
    func issuers() throws {
        var other = TokenIssuer(
            name: "other", issuer: "https://other.example", audiences: ["orders"],
            algorithms: [.es384])
        other.skew = 0
        let verifier = TokenVerifier([other, TokenFixture.terms([.es256])])
        let set = TokenFixture.keySet
        guard
            case .verified(let token) = verifier.verify(
                TokenFixture.token().utf8.span, keys: [nil, set])
        else {
            Issue.record("not verified")
            return
        }
        #expect(token.issuerIndex == 1)
        // The other issuer's name with this one's algorithm.
        let forged = TokenFixture.token(
            claims: TokenFixture.claims(["iss": #""https://other.example""#]))
        guard
            case .refused(.algorithmNotAllowed, 0?) = verifier.verify(
                forged.utf8.span, keys: [set, set])
        else {
            Issue.record("accepted")
            return
        }
    }

    @Test(
        "count to the second, with the clocks' difference on both sides",
        arguments: [
            (["exp": "1799999971"], nil), (["exp": "1799999970"], .expired),
            (["exp": "1799999971.999"], nil), (["exp": "1799999970.999"], .expired),
            (["nbf": "1800000030"], nil), (["nbf": "1800000031"], .notYetValid),
            (["nbf": "1800000029.5"], nil), (["nbf": "1800000030.5"], .notYetValid),
            (["iat": "1800000030"], nil), (["iat": "1800000031"], .notYetValid),
            (["iat": ""], nil),
        ] as [([String: String], TokenRefusal?)])
    func times(changes: [String: String], refusal: TokenRefusal?) throws {
        let (name, value) = try #require(changes.first)
        let old = name == "exp" ? "\(TokenFixture.now - 100)" : "\(TokenFixture.now)"
        let claims = TokenFixture.claims(
            name == "iat" ? [name: value] : ["iat": old, name: value])
        #expect(TokenFixture.refusal(of: TokenFixture.token(claims: claims)) == refusal)
    }

    @Test(
        "live no longer than their issuer may grant",
        arguments: [
            (["exp": "1800000600"], nil), (["exp": "1800000601"], .lifetime),
            // Without iat, or with one that lies, from now on.
            (["iat": "", "exp": "1800000630"], nil), (["iat": "", "exp": "1800000631"], .lifetime),
            (["iat": "1800000030", "exp": "1800000630"], nil),
            (["iat": "1800000030", "exp": "1800000631"], .lifetime),
        ] as [([String: String], TokenRefusal?)])
    func lifetimes(changes: [String: String], refusal: TokenRefusal?) {
        var terms = TokenFixture.terms()
        terms.lifetimeMax = 600
        let claims = TokenFixture.claims(
            ["iat": changes["iat"] ?? "\(TokenFixture.now)", "exp": changes["exp"] ?? "0"])
        #expect(TokenFixture.refusal(of: TokenFixture.token(claims: claims), terms) == refusal)
    }

    @Test("bound to a certificate are valid with that one alone (RFC 8705)")
    func bound() {
        let own = [UInt8](repeating: 7, count: 32)
        let other = [UInt8](repeating: 8, count: 32)
        let claims = TokenFixture.claims(["cnf": #"{"x5t#S256":"\#(Base64URL.text(of: own))"}"#])
        let token = TokenFixture.token(claims: claims)
        var terms = TokenFixture.terms()
        for isRequired in [false, true] {
            terms.requiresCertificate = isRequired
            #expect(TokenFixture.refusal(of: token, terms, fingerprint: own) == nil)
            #expect(
                TokenFixture.refusal(of: token, terms, fingerprint: other) == .certificateOther)
            #expect(TokenFixture.refusal(of: token, terms) == .certificateMissing)
        }
        #expect(
            TokenFixture.refusal(of: TokenFixture.token(), terms, fingerprint: own)
                == .confirmationMissing)
    }

    private static let requiredValues: [(String, TokenRefusal?)] = [
        ("null", .claimRequired), ("0", nil), ("{}", nil),
    ]

    @Test("are refused where a required claim is missing or null")
    func required() {
        var terms = TokenFixture.terms()
        terms.requiredClaims = ["tenant"]
        #expect(TokenFixture.refusal(of: TokenFixture.token(), terms) == .claimRequired)
        for (value, refusal) in Self.requiredValues {
            let token = TokenFixture.token(claims: TokenFixture.claims(["tenant": value]))
            #expect(TokenFixture.refusal(of: token, terms) == refusal)
        }
    }

    @Test("without kid are tried with every key that fits, if these are few")
    func withoutKeyID() throws {
        let token = TokenFixture.token(header: #"{"alg":"ES256"}"#)
        #expect(TokenFixture.refusal(of: token) == nil)
        #expect(
            TokenFixture.refusal(of: TokenFixture.token(header: #"{"alg":"ES512"}"#)) == .signature)
        func set(of count: Int) throws -> KeySet {
            var jwks = try (0..<count).map { index in
                let key = try #require(SigningKey(generating: .p256))
                return try #require(key.publicParts?.jwk(.init(keyID: "\(index)")))
            }
            if let own = TokenFixture.p256?.publicParts?.jwk() { jwks.append(own) }
            return try KeySet(parsing: KeySet.text(of: jwks), allowsSecrets: false)
        }
        #expect(TokenFixture.refusal(of: token, keys: try set(of: 3)) == nil)
        #expect(TokenFixture.refusal(of: token, keys: try set(of: 4)) == .keyAmbiguous)
    }

    @Test("changed anywhere are refused, whatever the change, and nothing ends the process")
    func mutations() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        let good = Array(TokenFixture.token().utf8)
        for round in 0..<3_000 {
            var token = good
            for _ in 0..<Int.random(in: 1...3, using: &random) { random.mutate(&token) }
            if token == good { continue }
            let text = String(decoding: token, as: UTF8.self)
            #expect(TokenFixture.refusal(of: text) != nil, "seed \(seed), round \(round), \(text)")
        }
    }

    @Test("whose JSON was changed before it was signed end in a verdict")
    func signedMutations() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        var verdicts: Set<TokenRefusal?> = []
        for _ in 0..<1_000 {
            var header = Array(TokenFixture.header(.edDSA).utf8)
            var claims = Array(TokenFixture.usualClaims.utf8)
            if Bool.random(using: &random) {
                random.mutate(&claims)
            } else {
                random.mutate(&header)
            }
            let signed = Base64URL.text(of: header) + "." + Base64URL.text(of: claims)
            let signature = TokenFixture.ed25519?.sign(Array(signed.utf8), .edDSA) ?? []
            verdicts.insert(
                TokenFixture.refusal(of: signed + "." + Base64URL.text(of: signature)))
        }
        #expect(verdicts.count > 8, "seed \(seed): too few kinds of verdict to show anything")
    }
}

/// SplitMix64: the same seed, the same changes.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func mutate(_ bytes: inout [UInt8]) {
        let position = Int.random(in: 0...bytes.count, using: &self)
        let piece = [UInt8](#"{}[]",:\.e0A_-="#.utf8).randomElement(using: &self) ?? 0
        switch Int.random(in: 0..<4, using: &self) {
        case 0 where position < bytes.count:
            bytes[position] = UInt8.random(in: 0...255, using: &self)
        case 1 where position < bytes.count: bytes.remove(at: position)
        case 2: bytes.removeSubrange(position...)
        default: bytes.insert(piece, at: position)
        }
    }
}
