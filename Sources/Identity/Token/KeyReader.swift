internal import Wire

/// Why a key of a set is left out.
public enum KeyFault: String, Error, Hashable, Sendable, CustomStringConvertible {
    case form = "it is not an object with a kty, or a member has the wrong form"
    case type = "its kty or crv is not one for tokens"
    case use = "its use is not to verify signatures"
    case operations = "its key_ops do not let it verify signatures"
    case algorithm = "its alg is not one of its kind of key"
    case secret = "it is a secret, and not in a secret's file"
    case privateKey = "it holds a private key"
    case weak = "it is too weak"
    case tooLarge = "it is larger than any key has to be"
    case invalid = "it is not a valid key"
    case spiffeID = "its spiffe_id is not a SPIFFE ID"
    case keyID = "its kid is not a string of at most 256 bytes, or missing where it must be there"

    public var description: String { rawValue }

    /// It may have been meant as a key for signatures.
    var leavesDoubt: Bool { self != .use && self != .operations && self != .type }
}

/// Reads one JSON Web Key (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2).
enum KeyReader {
    private static let privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth"]

    static func key(_ json: JSONValue, allowsSecrets: Bool) throws(KeyFault) -> VerificationKey {
        guard case .object(let members) = json, let type = try text("kty", json) else {
            throw .form
        }
        let isPrivate = members.contains { member in
            privateMembers.contains { member.name.hasSameBytes(as: $0) }
        }
        guard !isPrivate else { throw .privateKey }
        let use = try use(json)
        let keyID = try keyID(json, isRequired: use == .svid)
        let (kind, material) = try material(type, json, allowsSecrets: allowsSecrets)
        let algorithm = try algorithm(json, kind)
        if algorithm == nil, case .secret = kind, !kind.fits(.hs256) { throw .weak }
        return VerificationKey(
            keyID: keyID, kind: kind, algorithm: algorithm, use: use,
            spiffeID: try spiffeID(json), material: material)
    }

    private static func use(_ json: JSONValue) throws(KeyFault) -> VerificationKey.Use {
        if let value = json["key_ops"] {
            guard case .array(let operations) = value, operations.contains(.string("verify")) else {
                throw .operations
            }
        }
        switch try text("use", json) {
        case nil, "sig": return .signature
        case "jwt-svid": return .svid
        default: throw .use
        }
    }

    private static func keyID(
        _ json: JSONValue, isRequired: Bool
    ) throws(KeyFault) -> String? {
        guard let value = json["kid"] else {
            if isRequired { throw .keyID }
            return nil
        }
        guard case .string(let text) = value,
            (1...TokenHeader.keyIDBytesMax).contains(text.utf8.count)
        else { throw .keyID }
        return text
    }

    private static func algorithm(
        _ json: JSONValue, _ kind: KeyKind
    ) throws(KeyFault) -> TokenAlgorithm? {
        guard let name = try text("alg", json) else { return nil }
        guard let algorithm = TokenAlgorithm(exactly: name) else { throw .algorithm }
        if case .secret = kind, algorithm.isSymmetric, !kind.fits(algorithm) { throw .weak }
        guard kind.fits(algorithm) else { throw .algorithm }
        return algorithm
    }

    private static func spiffeID(_ json: JSONValue) throws(KeyFault) -> SPIFFEID? {
        guard let text = try text("spiffe_id", json) else { return nil }
        guard let id = try? SPIFFEID(text) else { throw .spiffeID }
        return id
    }

    // MARK: Key material

    private static func material(
        _ type: String, _ json: JSONValue, allowsSecrets: Bool
    ) throws(KeyFault) -> (KeyKind, SignatureKey) {
        switch type {
        case "RSA": return (.rsa, try rsa(json))
        case "EC": return try curve(json)
        case "OKP":
            guard try text("crv", json) == "Ed25519" else { throw .type }
            guard let der = KeyDER.ed25519Key(try bytes("x", json)) else { throw .invalid }
            return (.ed25519, try publicKey(der))
        case "oct":
            guard allowsSecrets else { throw .secret }
            let secret = try bytes("k", json)
            guard secret.count <= KeySet.secretBytesMax else { throw .tooLarge }
            guard !secret.isEmpty else { throw .weak }
            return (.secret(byteCount: secret.count), SignatureKey(secret: secret))
        default: throw .type
        }
    }

    private static func rsa(_ json: JSONValue) throws(KeyFault) -> SignatureKey {
        let modulus = Array(try bytes("n", json).drop { $0 == 0 })
        let exponent = Array(try bytes("e", json).drop { $0 == 0 })
        let bits = modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)
        guard bits >= SigningKey.rsaBitsMin else { throw .weak }
        // What one signature may cost to check grows with both.
        guard bits <= SigningKey.rsaBitsMax, exponent.count <= 4 else { throw .tooLarge }
        guard let last = modulus.last, last & 1 == 1, let lowest = exponent.last, lowest & 1 == 1
        else { throw .invalid }
        guard exponent != [1] else { throw .weak }
        guard !WeakModulus.isFound(in: modulus) else { throw .weak }
        return try publicKey(KeyDER.rsaKey(modulus: modulus, exponent: exponent))
    }

    private static func curve(_ json: JSONValue) throws(KeyFault) -> (KeyKind, SignatureKey) {
        let kind: KeyKind
        switch try text("crv", json) {
        case "P-256": kind = .p256
        case "P-384": kind = .p384
        case "P-521": kind = .p521
        default: throw .type
        }
        let (x, y) = (try bytes("x", json), try bytes("y", json))
        guard let der = KeyDER.curveKey(kind, x: x, y: y) else { throw .invalid }
        return (kind, try publicKey(der))
    }

    private static func publicKey(_ der: [UInt8]) throws(KeyFault) -> SignatureKey {
        guard let key = SignatureKey(der: der) else { throw .invalid }
        return key
    }

    // MARK: Members

    /// Nil where there is none.
    private static func text(_ name: String, _ json: JSONValue) throws(KeyFault) -> String? {
        guard let value = json[name] else { return nil }
        guard case .string(let text) = value else { throw .form }
        return text
    }

    private static func bytes(_ name: String, _ json: JSONValue) throws(KeyFault) -> [UInt8] {
        guard let text = try text(name, json), let bytes = Base64URL.decode(text) else {
            throw .form
        }
        return bytes
    }
}

/// RSA moduli of a smartcard library that drew its primes from few (CVE-2017-15361): every one is a
/// power of 65537 modulo each of these primes, as others are with a chance of one in 2^27.
enum WeakModulus {
    private static let primes: [UInt32] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ]

    static func isFound(in modulus: [UInt8]) -> Bool {
        primes.allSatisfy { prime in
            let rest = modulus.reduce(UInt32(0)) { ($0 << 8 | UInt32($1)) % prime }
            var power: UInt32 = 1
            for _ in 0..<prime {
                if power == rest { return true }
                power = power * 65_537 % prime
            }
            return false
        }
    }
}
