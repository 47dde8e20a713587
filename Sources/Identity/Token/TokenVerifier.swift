internal import Wire

/// Verifies what about a token does not depend on the moment: its form, its signature, and what its
/// claims must be to its issuer. What it says holds as long as its issuers and their keys do.
public struct TokenVerifier: Sendable {
    /// Keys that are tried for a token without `kid`.
    public static let keysTriedMax = 4

    public enum Outcome: Sendable {
        case verified(VerifiedToken)
        /// - issuer: the position of the issuer that the token names, once that is known.
        case refused(TokenRefusal, issuer: Int?)
        /// The issuer's keys are not at hand.
        case unavailable(issuer: Int)
    }

    public let issuers: [TokenIssuer]

    public init(_ issuers: [TokenIssuer]) { self.issuers = issuers }

    /// - keys: for each issuer, its keys if they are at hand.
    public func verify(_ bytes: Span<UInt8>, keys: [KeySet?]) -> Outcome {
        var issuer: Int?
        do throws(TokenRefusal) {
            let token = try CompactToken(parsing: bytes)
            let claims = try TokenClaims(parsing: token.payload)
            guard
                let index = issuers.firstIndex(where: {
                    $0.issuer.hasSameBytes(as: claims.issuer)
                })
            else { throw .issuerUnknown }
            issuer = index
            let terms = issuers[index]
            guard terms.algorithms.contains(token.header.algorithm) else {
                throw .algorithmNotAllowed
            }
            try terms.check(claims, token.header)
            guard index < keys.count, let set = keys[index] else {
                return .unavailable(issuer: index)
            }
            let key = try Self.key(of: token, in: set)
            guard terms.lets(key, speakFor: claims) else { throw .subjectForeign }
            return .verified(VerifiedToken(claims, by: terms, at: index))
        } catch {
            return .refused(error, issuer: issuer)
        }
    }

    /// The key that the token's signature is by.
    private static func key(
        of token: CompactToken, in set: KeySet
    ) throws(TokenRefusal) -> VerificationKey {
        if let keyID = token.header.keyID {
            guard let key = set.key(keyID) else { throw .keyUnknown }
            guard key.fits(token.header.algorithm) else { throw .keyMismatch }
            guard key.verifies(token) else { throw .signature }
            return key
        }
        let candidates = set.keys.filter { $0.fits(token.header.algorithm) }
        guard !candidates.isEmpty else { throw .keyMissing }
        guard candidates.count <= keysTriedMax else { throw .keyAmbiguous }
        guard let key = candidates.first(where: { $0.verifies(token) }) else { throw .signature }
        return key
    }
}
