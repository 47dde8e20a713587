import FoundationEssentials
import JWTKit

/// `jwt-check sign ALGORITHM KID KEY.pem SUBJECT AUDIENCE ISSUER` prints a token for a minute;
/// `jwt-check verify JWKS.json AUDIENCE ISSUER` reads one and prints its subject, or fails.
@main
enum JWTCheck {
    struct Claims: JWTPayload {
        var iss: IssuerClaim
        var sub: SubjectClaim
        var aud: AudienceClaim
        var iat: IssuedAtClaim
        var exp: ExpirationClaim

        func verify(using algorithm: some JWTAlgorithm) throws { try exp.verifyNotExpired() }
    }

    struct Usage: Error {}

    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "sign", arguments.count == 7 {
            let keys = JWTKeyCollection()
            let pem = try String(contentsOfFile: arguments[3], encoding: .utf8)
            try await add(pem, arguments[1], JWKIdentifier(string: arguments[2]), to: keys)
            let claims = Claims(
                iss: .init(value: arguments[6]), sub: .init(value: arguments[4]),
                aud: .init(value: arguments[5]), iat: .init(value: Date()),
                exp: .init(value: Date() + 60))
            print(try await keys.sign(claims, kid: JWKIdentifier(string: arguments[2])))
        } else if arguments.first == "verify", arguments.count == 4 {
            let set = try String(contentsOfFile: arguments[1], encoding: .utf8)
            let keys = try await JWTKeyCollection().add(jwksJSON: set)
            let claims = try await keys.verify(readLine() ?? "", as: Claims.self)
            try claims.aud.verifyIntendedAudience(includes: arguments[2])
            guard claims.iss.value == arguments[3] else { throw Usage() }
            print(claims.sub.value)
        } else {
            throw Usage()
        }
    }

    private static func add(
        _ pem: String, _ algorithm: String, _ keyID: JWKIdentifier, to keys: JWTKeyCollection
    ) async throws {
        switch algorithm {
        case "ES256": await keys.add(ecdsa: try ES256PrivateKey(pem: pem), kid: keyID)
        case "ES384": await keys.add(ecdsa: try ES384PrivateKey(pem: pem), kid: keyID)
        case "ES512": await keys.add(ecdsa: try ES512PrivateKey(pem: pem), kid: keyID)
        case "EdDSA": await keys.add(eddsa: try EdDSA.PrivateKey(pem: pem), kid: keyID)
        default:
            let digests: [Substring: DigestAlgorithm] = [
                "256": .sha256, "384": .sha384, "512": .sha512,
            ]
            guard let digest = digests[algorithm.dropFirst(2)] else { throw Usage() }
            let key = try Insecure.RSA.PrivateKey(pem: pem)
            if algorithm.hasPrefix("PS") {
                await keys.add(pss: key, digestAlgorithm: digest, kid: keyID)
            } else {
                await keys.add(rsa: key, digestAlgorithm: digest, kid: keyID)
            }
        }
    }
}
