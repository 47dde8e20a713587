import Identity
import Testing
import Wire

@testable import Configuration

/// `token_issuers`, with key files in memory.
@Suite struct TokenIssuerTests {
    private static let key = SigningKey(generating: .p256)?.publicParts?.jwk(.init(keyID: "one"))
    private static let other = SigningKey(generating: .rsa, rsaBits: 2_048)?.publicParts?.jwk()
    private static let usual = """
        token_issuers:
          - {name: login, issuer: https://login.example, audiences: [orders], algorithms: [ES256],
             keys: {file: keys/login.json}}

        """

    /// - files: what is where; other paths are not there.
    private static func materials(_ files: [String: [UInt8]], exposed: Bool = false) -> Materials {
        Materials(
            Materials.Source(
                read: { path in
                    files[path].map { .success($0) } ?? .failure(Materials.Failure("no such file"))
                }, isWorldReadable: { _ in exposed }, unixTime: { 1_800_000_000 }))
    }

    private static func load(
        _ text: String, _ files: [String: [UInt8]], exposed: Bool = false
    ) -> LoadResult {
        ConfigurationLoader.load(
            sources: [Source(name: "/etc/weir/weir.yaml", text: text + Text.head)],
            environment: [:],
            materials: materials(files, exposed: exposed))
    }

    private static func keySet() throws -> [UInt8] { KeySet.text(of: [try #require(key)]) }

    @Test("have defaults, and their key file is watched")
    func defaults() throws {
        let path = "/etc/weir/keys/login.json"
        let result = Self.load(Self.usual, [path: try Self.keySet()])
        let snapshot = try #require(result.snapshot, "\(result.diagnostics)")
        let terms = try #require(snapshot.tokens.issuers.first)
        #expect(terms.issuer.name == "login")
        #expect(terms.issuer.issuer == "https://login.example")
        #expect(terms.issuer.audiences == ["orders"])
        #expect(terms.issuer.algorithms == [.es256])
        #expect(terms.issuer.skew == 30)
        #expect(terms.issuer.lifetimeMax == nil)
        #expect(terms.issuer.types == ["jwt", "at+jwt"])
        #expect(terms.issuer.requiredClaims.isEmpty)
        #expect(terms.issuer.trustDomain == nil)
        #expect(!terms.issuer.requiresCertificate)
        #expect(!terms.forwards)
        #expect(terms.headers.isEmpty)
        guard case .fixed(let set) = terms.keys else {
            Issue.record("no fixed keys")
            return
        }
        #expect(set.keys.map(\.keyID) == ["one"])
        #expect(result.files.contains(path))
    }

    @Test("take everything that may be said of them")
    func everything() throws {
        let text = """
            token_issuers:
              - name: login
                issuer: i
                audiences: [a, b]
                algorithms: [PS256, EdDSA]
                keys: {url: https://login.example/keys, refresh: 1h, ca: ca.pem}
                max_lifetime: 1h
                skew: 5s
                types: [Custom+JWT]
                required_claims: [tenant]
                trust_domain: mesh.example
                bind: certificate
                forward: keep
                claims_to_headers: {sub: X-JWT-Sub, a.b: x-jwt-b}

            """
        let result = Self.load(text, [:])
        let snapshot = try #require(result.snapshot, "\(result.diagnostics)")
        let terms = try #require(snapshot.tokens.issuers.first)
        #expect(terms.issuer.algorithms == [.ps256, .edDSA])
        #expect(terms.issuer.skew == 5)
        #expect(terms.issuer.lifetimeMax == 3_600)
        #expect(terms.issuer.types == ["custom+jwt"])
        #expect(terms.issuer.requiredClaims == ["tenant"])
        #expect(terms.issuer.trustDomain == "mesh.example")
        #expect(terms.issuer.requiresCertificate)
        #expect(terms.forwards)
        #expect(
            terms.headers == [
                .init(claim: "sub", name: Array("x-jwt-sub".utf8)),
                .init(claim: "a.b", name: Array("x-jwt-b".utf8)),
            ])
        #expect(
            terms.keys
                == .fetched(
                    KeySource(
                        url: "https://login.example/keys", refresh: 3_600_000_000_000,
                        authorities: "/etc/weir/ca.pem")))
    }

    @Test(
        "with keys that are of no use are refused",
        arguments: [
            ("", "not strict JSON"), ("{}", "no object with an array"),
            (#"{"keys":[]}"#, "none of its keys can be used"),
            (#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "it is a secret"),
            (#"{"keys":[{"kty":"EC","d":"AA"}]}"#, "it holds a private key"),
        ])
    func badKeys(file: String, words: String) {
        let result = Self.load(Self.usual, ["/etc/weir/keys/login.json": Array(file.utf8)])
        #expect(result.snapshot == nil)
        let found = result.diagnostics.map(\.description).joined()
        #expect(found.contains(words) && found.contains("bad-file"), "\(found)")
    }

    @Test("a key that is left out, and an algorithm without a key, are warned of")
    func omissions() throws {
        let (key, other) = (try #require(Self.key), try #require(Self.other))
        let broken = #"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#
        let keys = [key, other].map { String(decoding: $0.bytes, as: UTF8.self) } + [broken]
        let file = Array("{\"keys\":[\(keys.joined(separator: ","))]}".utf8)
        let text = Self.usual.replacing("[ES256]", with: "[ES256, ES384]")
        let result = Self.load(text, ["/etc/weir/keys/login.json": file])
        #expect(result.snapshot != nil)
        let found = result.diagnostics.map(\.description)
        #expect(found.contains { $0.contains("key 3 of /etc/weir/keys/login.json is left out") })
        #expect(found.contains { $0.contains("none of the keys is for ES384") })
    }

    @Test("secrets are for HS alone, long, and for nobody else to read")
    func secrets() throws {
        let path = "/etc/weir/keys/login.json"
        let secret = Array("0123456789abcdef0123456789abcdef\n".utf8)
        let text = Self.usual.replacing("file:", with: "secret:")
        let symmetric = text.replacing("ES256", with: "HS256")
        #expect(Self.load(symmetric, [path: secret]).snapshot != nil)
        let faults: [(LoadResult, String)] = [
            (Self.load(text, [path: secret]), "a secret is no key for ES256"),
            (Self.load(symmetric, [path: secret], exposed: true), "everybody may read the secret"),
            (Self.load(symmetric, [path: Array(secret.dropFirst(2))]), "less than 32 bytes"),
            (
                Self.load(Self.usual.replacing("ES256", with: "HS256"), [path: try Self.keySet()]),
                "HS256 would take a secret"
            ),
        ]
        for (result, words) in faults {
            #expect(result.snapshot == nil)
            let found = result.diagnostics.map(\.description).joined()
            #expect(found.contains(words), "\(found)")
        }
    }

    @Test("changed keys make another revision, and broken ones leave the last good ones in use")
    func changes() throws {
        var files = ["/etc/weir/keys/login.json": try Self.keySet()]
        let materials = Materials(
            Materials.Source(
                read: { path in
                    files[path].map { .success($0) } ?? .failure(Materials.Failure("no such file"))
                }, isWorldReadable: { _ in false }, unixTime: { 0 }))
        func load() -> LoadResult {
            ConfigurationLoader.load(
                sources: [Source(name: "/etc/weir/weir.yaml", text: Self.usual + Text.head)],
                environment: [:], materials: materials)
        }
        let first = try #require(load().snapshot)
        let again = try #require(load().snapshot)
        #expect(first.revision == again.revision)
        #expect(first.tokens.issuers == again.tokens.issuers)
        files["/etc/weir/keys/login.json"] = Array("{".utf8)
        let broken = load()
        #expect(broken.diagnostics.map(\.code) == [.keptFile, .unused])
        #expect(broken.snapshot?.tokens.issuers == first.tokens.issuers)
        let key = try #require(SigningKey(generating: .p256)?.publicParts?.jwk())
        files["/etc/weir/keys/login.json"] = KeySet.text(of: [key])
        let next = try #require(load().snapshot)
        #expect(next.revision != first.revision)
        #expect(next.tokens.issuers != first.tokens.issuers)
    }
}
