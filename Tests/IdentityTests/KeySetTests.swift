import Identity
import Testing
import Wire

@Suite("Key sets")
struct KeySetTests {
    @Test(
        "that could be read in two ways, or not at all, are refused whole",
        arguments: [
            ("", .notJSON("no value at byte 0")), ("[]", .notKeySet), ("{}", .notKeySet),
            (#"{"keys":{}}"#, .notKeySet),
            (#"{"keys":[],"keys":[]}"#, .notJSON("a member's name twice at byte 11")),
        ] as [(String, KeySet.ParseError)])
    func refuses(text: String, error: KeySet.ParseError) {
        #expect(throws: error) { try KeySet(parsing: Array(text.utf8), allowsSecrets: false) }
    }

    /// Its modulus has the factor 757, which OpenSSL's check finds by chance, once in 20 times.
    private static let factored =
        #"{"keys":[{"kty":"RSA","e":"AQAB","n":""#
        + "6Os-Vc3pCTElU9GnzqREYpvdbTbU9WX3b_vTBbXWUWSrgdIfD9k5tEp86xTOovGCb10RwWs7Ks8zLosv"
        + "1i63PJuY77hzvNOxchvjCL2Xad6Gnv1dqqj41Mm01DIwWTYCWTfuaxQ11F9eHSZdF9Ncm71TQPVFd3Pi"
        + "80ElfNMiH6FhF_gSWlCxfrmJLUixd-7nxMhXzcGHu_KTwGIVHVSkRxskxOMlZRSGo1MxS7zbhdpEvQhj"
        + "0-WJBim7e7GEiaB7mJSCyduOt0rihJYoDPUCWWxgmq3Y0sqlmWWzVuHzlq7OW0Xbiqunt7YPprQMGmnb"
        + "NfNUYP2mfmQPHWH1s2WEvQ"
        + #""}]}"#

    @Test("are read the same each time, also where OpenSSL tosses a coin")
    func readAgain() throws {
        for _ in 0..<150 {
            let set = try KeySet(parsing: Array(Self.factored.utf8), allowsSecrets: false)
            #expect(set.keys.count == 1 && set.omissions.isEmpty)
        }
    }

    @Test("have bounds, and no kid twice")
    func bounds() throws {
        let key = try #require(TokenFixture.p256?.publicParts)
        let many = (0..<101).map { key.jwk(.init(keyID: "\($0)")) }
        #expect(throws: KeySet.ParseError.tooManyKeys) {
            try KeySet(parsing: KeySet.text(of: many), allowsSecrets: false)
        }
        let most = try KeySet(
            parsing: KeySet.text(of: Array(many.dropLast())), allowsSecrets: false)
        #expect(most.keys.count == 100)
        let twice = [key.jwk(.init(keyID: "a")), key.jwk(.init(keyID: "a"))]
        #expect(throws: KeySet.ParseError.sameKeyID("a")) {
            try KeySet(parsing: KeySet.text(of: twice), allowsSecrets: false)
        }
        // Nor beside one that is left out, unless that is for something else.
        let broken = #"{"kty":"EC","kid":"a","crv":"P-256","x":"AA==","y":"AA"}"#
        let other = #"{"kty":"EC","kid":"a","use":"enc","crv":"P-256","x":"AA==","y":"AA"}"#
        let own = String(decoding: key.jwk(.init(keyID: "a")).bytes, as: UTF8.self)
        #expect(throws: KeySet.ParseError.sameKeyID("a")) {
            let text = "{\"keys\":[\(own),\(broken)]}"
            _ = try KeySet(parsing: Array(text.utf8), allowsSecrets: false)
        }
        let text = "{\"keys\":[\(own),\(other)]}"
        #expect(try KeySet(parsing: Array(text.utf8), allowsSecrets: false).keys.count == 1)
        let long = [UInt8](repeating: 0x20, count: KeySet.bytesMax + 1)
        #expect(throws: KeySet.ParseError.tooLarge) {
            try KeySet(parsing: long, allowsSecrets: false)
        }
    }

    @Test(
        "leave out what is not a key for signatures",
        arguments: [
            ("1", .form), ("{}", .form), (#"{"kty":1}"#, .form),
            (#"{"kty":"XYZ"}"#, .type), (#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#, .type),
            (#"{"kty":"EC","crv":"secp256k1","x":"","y":""}"#, .type),
            (#"{"kty":"EC","use":"enc","crv":"P-256"}"#, .use),
            (#"{"kty":"EC","use":"x509-svid","crv":"P-256"}"#, .use),
            (#"{"kty":"EC","use":"jwt-svid","crv":"P-256"}"#, .keyID),
            (#"{"kty":"EC","key_ops":["sign"],"crv":"P-256"}"#, .operations),
            (#"{"kty":"EC","key_ops":"verify","crv":"P-256"}"#, .operations),
            (#"{"kty":"EC","crv":"P-256","d":"AA"}"#, .privateKey),
            (#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#, .invalid),
            (#"{"kty":"EC","crv":"P-256","x":"AA==","y":"AAAA"}"#, .form),
            (#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, .invalid),
            (#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, .weak),
            (#"{"kty":"RSA","n":"","e":"AQAB"}"#, .weak),
            (#"{"kty":"oct","k":"AAAA"}"#, .secret),
        ] as [(String, KeyFault)])
    func leavesOut(key: String, fault: KeyFault) throws {
        let set = try KeySet(parsing: Array("{\"keys\":[\(key)]}".utf8), allowsSecrets: false)
        #expect(set.keys.isEmpty)
        #expect(set.omissions.map(\.reason) == [fault])
    }

    @Test("refuse RSA keys that are weak, huge, or none")
    func rsa() throws {
        let parts = try #require(TokenFixture.rsa?.publicParts)
        let modulus = parts.numbers[0]
        func fault(_ n: [UInt8], _ e: [UInt8]) throws -> KeyFault? {
            let key =
                #"{"kty":"RSA","n":"\#(Base64URL.text(of: n))","e":"\#(Base64URL.text(of: e))"}"#
            let set = try KeySet(parsing: Array("{\"keys\":[\(key)]}".utf8), allowsSecrets: false)
            return set.omissions.first?.reason
        }
        #expect(try fault(modulus, [1, 0, 1]) == nil)
        #expect(try fault(modulus, [1]) == .weak)
        #expect(try fault(modulus, []) == .invalid)
        #expect(try fault(modulus, [2]) == .invalid)
        #expect(try fault(modulus, [1, 0, 0, 0, 1]) == .tooLarge)
        #expect(try fault(Array(modulus.dropLast()), [1, 0, 1]) == .weak)
        #expect(try fault(Array(modulus.dropLast()) + [0], [1, 0, 1]) == .invalid)
        #expect(try fault(modulus + modulus + modulus + modulus + [1], [1, 0, 1]) == .tooLarge)
    }

    @Test("know a key by its thumbprint (RFC 7638, 3.1)")
    func thumbprint() throws {
        for key in [TokenFixture.rsa, TokenFixture.p256, TokenFixture.ed25519] {
            let key = try #require(key)
            let pem = try #require(key.pem)
            let again = try #require(SigningKey(pem: pem))
            #expect(again.publicParts?.thumbprint == key.publicParts?.thumbprint)
            #expect(key.publicParts?.thumbprint.utf8.count == 43)
        }
        #expect(SigningKey(pem: Array("-----BEGIN PRIVATE KEY-----\nAAAA\n".utf8)) == nil)
        #expect(SigningKey(pem: []) == nil)
        #expect(SigningKey(generating: .rsa, rsaBits: 1_024) == nil)
    }

    @Test("end for any bytes")
    func mutations() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        let text = Array(TokenFixture.keySetText.utf8)
        var left = 0
        for _ in 0..<1_000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...3, using: &random) { random.mutate(&bytes) }
            let set = try? KeySet(parsing: bytes, allowsSecrets: false)
            left += set?.omissions.count ?? 0
        }
        #expect(left > 10, "seed \(seed)")
    }
}
