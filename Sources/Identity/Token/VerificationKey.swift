/// One key that tokens are verified with.
public struct VerificationKey: Sendable {
    public enum Use: Sendable {
        case signature
        /// For JWT-SVIDs alone (SPIFFE trust domain and bundle, 4.2.2).
        case svid
    }

    public let keyID: String?
    public let kind: KeyKind
    /// The only algorithm that it is for, where it says so.
    public let algorithm: TokenAlgorithm?
    public let use: Use
    /// The only subject that it speaks for, where it names one.
    public let spiffeID: SPIFFEID?
    let material: SignatureKey

    public func fits(_ algorithm: TokenAlgorithm) -> Bool {
        kind.fits(algorithm) && (self.algorithm ?? algorithm) == algorithm
    }

    public func verifies(_ token: CompactToken) -> Bool {
        fits(token.header.algorithm)
            && material.verifies(
                token.signature, over: token.signedBytes, token.header.algorithm, kind)
    }
}
