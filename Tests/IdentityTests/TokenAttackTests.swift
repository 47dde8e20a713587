import Identity
import Testing
import Wire

/// What is tried to get in without a token, or with another's: each refused, and for its reason.
@Suite("Attacks with tokens")
struct TokenAttackTests {
    @Test(
        "by the header",
        arguments: [
            (#"{"alg":"none"}"#, .algorithmNone), (#"{"alg":"None"}"#, .algorithmNone),
            (#"{"alg":"NONE","kid":"p256"}"#, .algorithmNone), (#"{"alg":"nOnE"}"#, .algorithmNone),
            (#"{"kid":"p256"}"#, .algorithmMissing), (#"{"alg":null}"#, .algorithmMissing),
            (#"{"alg":["ES256"]}"#, .algorithmMissing), (#"{"alg":256}"#, .algorithmMissing),
            (#"{"alg":""}"#, .algorithmUnknown), (#"{"alg":"es256"}"#, .algorithmUnknown),
            (#"{"alg":"ES256 "}"#, .algorithmUnknown), (#"{"alg":"ES256K"}"#, .algorithmUnknown),
            (#"{"alg":"RSA1_5"}"#, .algorithmUnknown), (#"{"alg":"A256GCM"}"#, .algorithmUnknown),
            (#"{"alg":"ES256\u0000"}"#, .algorithmUnknown),
            (#"{"alg":"HS256","kid":"p256"}"#, .algorithmNotAllowed),
            (#"{"alg":"ES256","alg":"ES256"}"#, .headerJSON),
            (#"{"alg":"ES256","\u0061lg":"none"}"#, .headerJSON),
            (#"{"alg":"ES256","kid":"p256","kid":"p256"}"#, .headerJSON),
            (#"["ES256"]"#, .headerJSON), (#""ES256""#, .headerJSON), ("", .notCompact),
            (#"{"alg":"ES256"} "x""#, .headerJSON), (#"{"alg":"ES256",}"#, .headerJSON),
            (#"{"alg":"ES256","kid":"p256","crit":["exp"],"exp":1}"#, .critical),
            (#"{"alg":"ES256","kid":"p256","crit":[]}"#, .critical),
            (#"{"alg":"ES256","kid":"p256","crit":"b64"}"#, .critical),
            (#"{"alg":"ES256","kid":"p256","crit":["x"]}"#, .critical),
            (#"{"alg":"ES256","kid":"p256","crit":null}"#, .critical),
            (#"{"alg":"ES256","kid":"p256","b64":false}"#, .unencodedPayload),
            (#"{"alg":"ES256","kid":"p256","b64":true}"#, .unencodedPayload),
            (#"{"alg":"ES256","kid":"p256","zip":"DEF"}"#, .compressed),
            (#"{"alg":"ES256","kid":"p256","enc":"A128GCM"}"#, .encrypted),
            (#"{"alg":"ES256","kid":"p256","cty":"JWT"}"#, .nested),
            (#"{"alg":"ES256","jku":"https://evil.example/keys"}"#, .embeddedKey),
            (#"{"alg":"ES256","x5u":"https://evil.example/keys"}"#, .embeddedKey),
            (#"{"alg":"ES256","x5c":["MIIB"]}"#, .embeddedKey),
            (#"{"alg":"ES256","jwk":{"kty":"EC"}}"#, .embeddedKey),
            (#"{"alg":"ES256","kid":""}"#, .keyIDForm), (#"{"alg":"ES256","kid":1}"#, .keyIDForm),
            (#"{"alg":"ES256","kid":["p256"]}"#, .keyIDForm),
            (#"{"alg":"ES256","kid":null}"#, .keyIDForm),
            (#"{"alg":"ES256","kid":"p256 "}"#, .keyUnknown),
            (#"{"alg":"ES256","kid":"P256"}"#, .keyUnknown),
            (#"{"alg":"ES256","kid":"../../dev/null"}"#, .keyUnknown),
            (#"{"alg":"ES256","kid":"' OR 1=1 --"}"#, .keyUnknown),
            (#"{"alg":"ES256","kid":"p256\u0000"}"#, .keyUnknown),
            (#"{"alg":"ES256","kid":"p384"}"#, .keyMismatch),
            (#"{"alg":"ES256","kid":"rsa"}"#, .keyMismatch),
            (#"{"alg":"RS256","kid":"p256"}"#, .keyMismatch),
            (#"{"alg":"EdDSA","kid":"p256"}"#, .keyMismatch),
            (#"{"alg":"ES256","kid":"p256","typ":"logout+jwt"}"#, .type),
            (#"{"alg":"ES256","kid":"p256","typ":"dpop+jwt"}"#, .type),
            (#"{"alg":"ES256","kid":"p256","typ":["JWT"]}"#, .type),
            (#"{"alg":"ES256","kid":"p256","typ":"JOSE"}"#, .type),
        ] as [(String, TokenRefusal)])
    func headers(header: String, refusal: TokenRefusal) {
        let token = TokenFixture.token(header: header)
        #expect(TokenFixture.refusal(of: token) == refusal)
        let (_, claims, _) = Self.parts(token)
        // Nor does any of it get in unsigned.
        let unsigned = TokenFixture.encoded(header) + "." + claims + "."
        #expect(TokenFixture.refusal(of: unsigned) == .notCompact)
    }

    @Test("by a kid of 5 KB")
    func longKeyID() {
        let keyID = String(repeating: "k", count: 5_000)
        let token = TokenFixture.token(header: #"{"alg":"ES256","kid":"\#(keyID)"}"#)
        #expect(TokenFixture.refusal(of: token) == .keyIDForm)
    }

    @Test(
        "by the claims, well signed",
        arguments: [
            ("[]", .claimsJSON), ("\"x\"", .claimsJSON), ("1", .claimsJSON), ("null", .claimsJSON),
            ("{", .claimsJSON), ("{}x", .claimsJSON), ("\u{feff}{}", .claimsJSON),
            (#"{"iss":"https://login.example","iss":"x"}"#, .claimsJSON),
            (#"{"exp":NaN}"#, .claimsJSON), (#"{"exp":Infinity}"#, .claimsJSON),
            (#"{"a":"\ud800"}"#, .claimsJSON), (#"{"exp":01}"#, .claimsJSON),
            (
                String(repeating: #"{"a":"#, count: 33) + "1" + String(repeating: "}", count: 33),
                .claimsJSON
            ),
            (TokenFixture.claims(["exp": ""]), .expiryForm),
            (TokenFixture.claims(["exp": "null"]), .expiryForm),
            (TokenFixture.claims(["exp": "-1"]), .expiryForm),
            (TokenFixture.claims(["exp": "\"1900000000\""]), .expiryForm),
            (TokenFixture.claims(["exp": "1e999"]), .expiryForm),
            (TokenFixture.claims(["exp": "1.9e9"]), .expiryForm),
            (TokenFixture.claims(["exp": "-1.5"]), .expiryForm),
            (TokenFixture.claims(["exp": "99999999999999999999"]), .expiryForm),
            (TokenFixture.claims(["exp": "9223372036854775807"]), .expiryForm),
            (TokenFixture.claims(["exp": "true"]), .expiryForm),
            (TokenFixture.claims(["exp": "[1900000000]"]), .expiryForm),
            (TokenFixture.claims(["iat": "0", "exp": "0"]), .expired),
            (TokenFixture.claims(["iat": "1700000000", "exp": "1700000300"]), .expired),
            (TokenFixture.claims(["nbf": "\"0\""]), .timeForm),
            (TokenFixture.claims(["nbf": "1900000000"]), .timeForm),
            (TokenFixture.claims(["nbf": "1800000200"]), .notYetValid),
            (TokenFixture.claims(["iat": "1900000000"]), .timeForm),
            (TokenFixture.claims(["iat": "-5"]), .timeForm),
            (TokenFixture.claims(["iss": ""]), .issuerMissing),
            (TokenFixture.claims(["iss": "null"]), .issuerMissing),
            (TokenFixture.claims(["iss": "\"\""]), .issuerMissing),
            (TokenFixture.claims(["iss": #"["https://login.example"]"#]), .issuerMissing),
            (TokenFixture.claims(["iss": #""https://login.example/""#]), .issuerUnknown),
            (TokenFixture.claims(["iss": #""https://Login.example""#]), .issuerUnknown),
            (TokenFixture.claims(["iss": #""http://login.example""#]), .issuerUnknown),
            (TokenFixture.claims(["iss": #""https://login.example.evil""#]), .issuerUnknown),
            (TokenFixture.claims(["iss": #""https://login.example\u0000""#]), .issuerUnknown),
            (TokenFixture.claims(["aud": ""]), .audienceForm),
            (TokenFixture.claims(["aud": "null"]), .audienceForm),
            (TokenFixture.claims(["aud": "\"\""]), .audienceForm),
            (TokenFixture.claims(["aud": "[]"]), .audienceForm),
            (TokenFixture.claims(["aud": "{\"orders\":1}"]), .audienceForm),
            (TokenFixture.claims(["aud": "[\"orders\",1]"]), .audienceForm),
            (TokenFixture.claims(["aud": "[[\"orders\"]]"]), .audienceForm),
            (TokenFixture.claims(["aud": "\"order\""]), .audience),
            (TokenFixture.claims(["aud": "\"orders2\""]), .audience),
            (TokenFixture.claims(["aud": "\"Orders\""]), .audience),
            (TokenFixture.claims(["aud": "\"orders,payments\""]), .audience),
            (TokenFixture.claims(["aud": "[\"payments\"]"]), .audience),
            (TokenFixture.claims(["sub": "1"]), .subjectForm),
            (TokenFixture.claims(["sub": "null"]), .subjectForm),
            (TokenFixture.claims(["cnf": "null"]), .confirmationForm),
            (TokenFixture.claims(["cnf": "{}"]), .confirmationForm),
            (TokenFixture.claims(["cnf": #"{"jkt":"x"}"#]), .confirmationForm),
            (TokenFixture.claims(["cnf": #"{"x5t#S256":"AAAA"}"#]), .confirmationForm),
            (TokenFixture.claims(["cnf": #"{"x5t#S256":["x"]}"#]), .confirmationForm),
        ] as [(String, TokenRefusal)])
    func claims(claims: String, refusal: TokenRefusal) {
        #expect(TokenFixture.refusal(of: TokenFixture.token(claims: claims)) == refusal)
    }

    @Test("with bytes that are not UTF-8 in the claims")
    func notUTF8() {
        let claims = Array(#"{"sub":""#.utf8) + [0xff] + Array(#""}"#.utf8)
        let signed = TokenFixture.encoded(TokenFixture.header()) + "." + Base64URL.text(of: claims)
        let signature = TokenFixture.p256?.sign(Array(signed.utf8), .es256) ?? []
        let token = signed + "." + Base64URL.text(of: signature)
        #expect(TokenFixture.refusal(of: token) == .claimsJSON)
    }

    @Test("with a public key as the secret of an HMAC, in every encoding of it")
    func publicKeyAsSecret() throws {
        let jwk = try #require(TokenFixture.rsa?.publicParts?.jwk())
        guard case .string(let modulus) = jwk["n"] else { return }
        let der = try #require(Base64URL.decode(modulus))
        let secrets: [[UInt8]] = [
            jwk.bytes, Array(modulus.utf8), der, Array(TokenFixture.keySetText.utf8),
            Array("-----BEGIN PUBLIC KEY-----\n\(modulus)\n-----END PUBLIC KEY-----\n".utf8),
            Array("-----BEGIN PUBLIC KEY-----\n\(modulus)\n-----END PUBLIC KEY-----".utf8),
        ]
        for secret in secrets {
            for (algorithm, keyID) in [(TokenAlgorithm.hs256, "rsa"), (.hs512, "p256")] {
                let header = #"{"alg":"\#(algorithm.rawValue)","kid":"\#(keyID)"}"#
                let signed =
                    TokenFixture.encoded(header) + "."
                    + TokenFixture.encoded(TokenFixture.usualClaims)
                let code = try #require(MessageCode.of(Array(signed.utf8), secret, algorithm))
                let token = signed + "." + Base64URL.text(of: code)
                #expect(TokenFixture.refusal(of: token) == .algorithmNotAllowed)
                // And should an issuer be allowed both, the key's kind still says no.
                let careless = TokenFixture.terms(TokenAlgorithm.allCases)
                #expect(TokenFixture.refusal(of: token, careless) == .keyMismatch)
            }
        }
    }

    @Test("with signatures that are not ones")
    func signatures() throws {
        let (header, claims, signature) = Self.parts(TokenFixture.token())
        let own = try #require(Base64URL.decode(signature))
        let (r, s) = (Array(own[..<32]), Array(own[32...]))
        let zero = [UInt8](repeating: 0, count: 32)
        let one: [UInt8] = Array(zero.dropLast()) + [1]
        let order: [UInt8] = [
            0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2,
            0xfc, 0x63, 0x25, 0x51,
        ]
        let largest = [UInt8](repeating: 0xff, count: 64)
        // As DER, which is how other protocols write them.
        let der: [[UInt8]] = [[0x30, 0x44, 0x02, 0x20], r, [0x02, 0x20], s]
        let pairs = [
            (zero, zero), (zero, one), (one, zero), (zero, s), (r, zero), (order, one),
            (one, order), (order, order), (r, order), (s, r),
        ]
        let others: [[UInt8]] = [
            largest, Array(own.dropLast()), Array(own.dropFirst()), own + [0], [0] + own, r, [0],
            own + own, Array([zero, r, zero, s].joined()), Array(der.joined()),
        ]
        let forgeries = pairs.map { $0.0 + $0.1 } + others
        for forgery in forgeries {
            let token = "\(header).\(claims).\(Base64URL.text(of: forgery))"
            #expect(TokenFixture.refusal(of: token) == .signature, "\(forgery)")
        }
    }

    @Test("with an Ed25519 signature whose S is not reduced, or cut, or of another length")
    func edwards() throws {
        let token = TokenFixture.token(header: TokenFixture.header(.edDSA), .edDSA)
        let (header, claims, signature) = Self.parts(token)
        let own = try #require(Base64URL.decode(signature))
        // S + L, the same signature to a verifier that does not check (RFC 8032, 5.1.7).
        let order: [UInt8] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ]
        var carry = 0
        let sum = (0..<32).map { index -> UInt8 in
            let digit = Int(own[32 + index]) + Int(order[index]) + carry
            carry = digit >> 8
            return UInt8(digit & 0xff)
        }
        let cut = Array(own.dropLast())
        let unreduced: [UInt8] = Array(own[..<32]) + sum
        let zeros = [UInt8](repeating: 0, count: 64)
        let longer: [UInt8] = own + [0]
        for forgery in [unreduced, cut, longer, zeros] {
            let text = "\(header).\(claims).\(Base64URL.text(of: forgery))"
            #expect(TokenFixture.refusal(of: text) == .signature)
        }
        #expect(TokenFixture.refusal(of: token) == nil)
    }

    @Test("with an RSA signature of another length", arguments: [TokenAlgorithm.rs256, .ps256])
    func rsaLengths(_ algorithm: TokenAlgorithm) throws {
        let token = TokenFixture.token(header: TokenFixture.header(algorithm), algorithm)
        let (header, claims, signature) = Self.parts(token)
        let own = try #require(Base64URL.decode(signature))
        let (before, behind): ([UInt8], [UInt8]) = ([0] + own, own + [0])
        for forgery in [before, behind, Array(own.dropFirst()), Array(own.dropLast())] {
            let text = "\(header).\(claims).\(Base64URL.text(of: forgery))"
            #expect(TokenFixture.refusal(of: text) == .signature)
        }
        // One padding is not the other.
        let other: TokenAlgorithm = algorithm == .rs256 ? .ps256 : .rs256
        let swapped = TokenFixture.encoded(TokenFixture.header(other))
        #expect(TokenFixture.refusal(of: "\(swapped).\(claims).\(signature)") == .signature)
    }

    @Test("with another spelling of the same token, or another form")
    func spellings() {
        let token = TokenFixture.token()
        let (header, claims, signature) = Self.parts(token)
        let others: [(String, TokenRefusal)] = [
            ("", .notCompact), (".", .notCompact), ("..", .notCompact), ("...", .notCompact),
            ("\(header).\(claims)", .notCompact), ("\(header).\(claims).", .notCompact),
            (".\(claims).\(signature)", .notCompact), ("\(header)..\(signature)", .notCompact),
            (token + ".", .notCompact), ("." + token, .notCompact), (token + ".x", .notCompact),
            ("\(header)=.\(claims).\(signature)", .headerEncoding),
            ("\(header).\(claims)=.\(signature)", .payloadEncoding),
            (token + "=", .signatureEncoding), (token + "==", .signatureEncoding),
            (token + " ", .signatureEncoding), (" " + token, .headerEncoding),
            (token + "\n", .signatureEncoding), (token + "\0", .signatureEncoding),
            ("\(header).\(claims).+\(signature.dropFirst())", .signatureEncoding),
            ("\(header).\(claims)\u{e9}.\(signature)", .payloadEncoding),
            (#"{"payload":"\#(claims)","signatures":[]}"#, .notCompact),
            ("\(header).\(claims).\(signature).\(signature).\(signature)", .notCompact),
            (String(repeating: "A", count: CompactToken.bytesMax + 1), .tooLarge),
            (String(repeating: ".", count: CompactToken.bytesMax), .notCompact),
        ]
        for (other, refusal) in others {
            #expect(TokenFixture.refusal(of: other) == refusal, "\(other.prefix(200))")
        }
        // The last character's spare bits: 64 bytes leave four of them.
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
            let other = token.dropLast() + String(last)
            #expect((TokenFixture.refusal(of: String(other)) == nil) == (other == token[...]))
        }
    }

    private static func parts(_ token: String) -> (String, String, String) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        return parts.count == 3 ? (parts[0], parts[1], parts[2]) : ("", "", "")
    }
}
