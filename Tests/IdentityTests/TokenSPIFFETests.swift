import Identity
import Testing
import Wire

@Suite("Tokens for SPIFFE IDs")
struct TokenSPIFFETests {
    private static let id = #""spiffe://mesh.example/web""#

    /// A set of one P-256 key.
    private static func set(_ changes: String) throws -> KeySet {
        let jwk = try #require(TokenFixture.p256?.publicParts?.jwk(.init(keyID: "p256")))
        let text = String(decoding: jwk.bytes.dropLast(), as: UTF8.self) + changes + "}"
        return try KeySet(parsing: Array("{\"keys\":[\(text)]}".utf8), allowsSecrets: false)
    }

    private static func token(_ subject: String, header: String = TokenFixture.header()) -> String {
        TokenFixture.token(header: header, claims: TokenFixture.claims(["sub": subject]))
    }

    @Test("are valid by a key that names the ID, and by no other")
    func namedKeys() throws {
        let own = try Self.set(#","spiffe_id":"spiffe://mesh.example/web""#)
        let terms = TokenFixture.terms()
        #expect(TokenFixture.refusal(of: Self.token(Self.id), terms, keys: own) == nil)
        for subject in [
            #""spiffe://mesh.example/orders""#, #""spiffe://mesh.example/web/x""#,
            #""spiffe://mesh.example.evil/web""#, #""alice""#, "",
        ] {
            let token = Self.token(subject)
            #expect(TokenFixture.refusal(of: token, terms, keys: own) == .subjectForeign)
        }
        let plain = try Self.set("")
        #expect(
            TokenFixture.refusal(of: Self.token(Self.id), terms, keys: plain) == .subjectForeign)
    }

    @Test("are valid by the keys of the ID's own trust domain")
    func trustDomains() throws {
        var terms = TokenFixture.terms()
        terms.trustDomain = "mesh.example"
        let plain = try Self.set("")
        #expect(TokenFixture.refusal(of: Self.token(Self.id), terms, keys: plain) == nil)
        for subject in [
            #""spiffe://other.example/web""#, #""spiffe://mesh.example.evil/web""#,
            #""spiffe://mesh/web""#,
        ] {
            let token = Self.token(subject)
            #expect(TokenFixture.refusal(of: token, terms, keys: plain) == .subjectForeign)
        }
        // A key of a bundle signs for IDs alone.
        let jwk = try #require(TokenFixture.p256?.publicParts?.jwk(.init(keyID: "p256")))
        let text = String(decoding: jwk.bytes, as: UTF8.self).replacing(
            "\"sig\"", with: "\"jwt-svid\"")
        let bundle = try KeySet(parsing: Array("{\"keys\":[\(text)]}".utf8), allowsSecrets: false)
        #expect(TokenFixture.refusal(of: Self.token(Self.id), terms, keys: bundle) == nil)
        #expect(
            TokenFixture.refusal(of: Self.token(#""alice""#), terms, keys: bundle)
                == .subjectForeign)
    }

    @Test(
        "in another spelling are refused",
        arguments: [
            "spiffe://", "spiffe:mesh.example/web", "SPIFFE://mesh.example/web",
            "spiffe://Mesh.example/web", "spiffe://mesh.example/", "spiffe://mesh.example//web",
            "spiffe://mesh.example/../web", "spiffe://mesh.example/w%65b",
            "spiffe://mesh.example:1/web", "spiffe://u@mesh.example/web",
            "spiffe://mesh.example/web?x", "spiffe://mesh.example/web#x",
            "spiffe://mesh.example/web\\u0000", "spiffe:\\u0301//mesh.example/web",
        ])
    func spellings(subject: String) {
        var terms = TokenFixture.terms()
        terms.trustDomain = "mesh.example"
        #expect(TokenFixture.refusal(of: Self.token("\"\(subject)\""), terms) == .subjectSPIFFE)
    }

    @Test(
        "keep to the algorithms and header fields of a JWT-SVID",
        arguments: [
            (#"{"alg":"ES256","kid":"p256"}"#, nil),
            (#"{"alg":"ES256","kid":"p256","typ":"JOSE"}"#, nil),
            (#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#, .svidForm),
            (#"{"alg":"ES256","kid":"p256","x5t":"AAAA"}"#, .svidForm),
            (#"{"alg":"EdDSA","kid":"ed25519"}"#, .svidForm),
        ] as [(String, TokenRefusal?)])
    func headers(header: String, refusal: TokenRefusal?) {
        var terms = TokenFixture.terms()
        terms.trustDomain = "mesh.example"
        #expect(TokenFixture.refusal(of: Self.token(Self.id, header: header), terms) == refusal)
    }
}
