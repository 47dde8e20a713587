/// How a token is signed (RFC 7518, 3; RFC 8037, 3.1). There is no case for `none`.
public enum TokenAlgorithm: String, Hashable, Sendable, CaseIterable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case edDSA = "EdDSA"
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"

    public enum Family: Sendable { case rsaPKCS1, rsaPSS, ecdsa, edDSA, hmac }

    public var family: Family {
        switch self {
        case .rs256, .rs384, .rs512: .rsaPKCS1
        case .ps256, .ps384, .ps512: .rsaPSS
        case .es256, .es384, .es512: .ecdsa
        case .edDSA: .edDSA
        case .hs256, .hs384, .hs512: .hmac
        }
    }

    /// Bits of the SHA-2 digest that is signed; 0 where the signature has a digest of its own.
    public var digestBits: Int {
        switch self {
        case .rs256, .ps256, .es256, .hs256: 256
        case .rs384, .ps384, .es384, .hs384: 384
        case .rs512, .ps512, .es512, .hs512: 512
        case .edDSA: 0
        }
    }

    /// True where whoever can check a signature can make one.
    public var isSymmetric: Bool { family == .hmac }

    /// True for those that a JWT-SVID may have (JWT-SVID, 2.1).
    public var isOfSVID: Bool {
        switch family {
        case .rsaPKCS1, .rsaPSS, .ecdsa: true
        case .edDSA, .hmac: false
        }
    }

    public static let asymmetric = allCases.filter { !$0.isSymmetric }
    public static let symmetric = allCases.filter(\.isSymmetric)
}

/// What kind of key it is, which says which algorithms it may be used with.
public enum KeyKind: Hashable, Sendable {
    case rsa
    case p256
    case p384
    case p521
    case ed25519
    case secret(byteCount: Int)

    public func fits(_ algorithm: TokenAlgorithm) -> Bool {
        switch self {
        case .rsa: algorithm.family == .rsaPKCS1 || algorithm.family == .rsaPSS
        case .p256: algorithm == .es256
        case .p384: algorithm == .es384
        case .p521: algorithm == .es512
        case .ed25519: algorithm == .edDSA
        // RFC 7518, 3.2: a secret at least as long as the digest.
        case .secret(let byteCount):
            algorithm.isSymmetric && byteCount * 8 >= algorithm.digestBits
        }
    }

    /// The algorithm of a key that is made without one being named.
    public var usualAlgorithm: TokenAlgorithm {
        switch self {
        case .rsa: .rs256
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        case .ed25519: .edDSA
        case .secret: .hs256
        }
    }

    /// Bytes of one coordinate of a curve's point, and of one half of a signature; 0 for others.
    var coordinateBytes: Int {
        switch self {
        case .p256: 32
        case .p384: 48
        case .p521: 66
        case .rsa, .ed25519, .secret: 0
        }
    }
}
