public import Wire

/// A public key as a JSON Web Key (RFC 7517, 4).
extension PublicKeyParts {
    /// What a key set says of it beside the key itself.
    public struct Labels: Sendable {
        public var keyID: String?
        public var algorithm: TokenAlgorithm?
        public var spiffeID: SPIFFEID?

        public init(
            keyID: String? = nil, algorithm: TokenAlgorithm? = nil, spiffeID: SPIFFEID? = nil
        ) {
            self.keyID = keyID
            self.algorithm = algorithm
            self.spiffeID = spiffeID
        }
    }

    /// - labels: the thumbprint is the `kid`, and the kind's usual algorithm the `alg`, where they
    ///   say no other.
    public func jwk(_ labels: Labels = Labels()) -> JSONValue {
        var members = essentials
        let keyID = labels.keyID ?? thumbprint
        let algorithm = labels.algorithm ?? kind.usualAlgorithm
        members.append(.init(name: "kid", value: .string(keyID)))
        members.append(.init(name: "alg", value: .string(algorithm.rawValue)))
        members.append(.init(name: "use", value: .string("sig")))
        if let id = labels.spiffeID {
            members.append(.init(name: "spiffe_id", value: .string(id.description)))
        }
        return .object(members)
    }

    /// RFC 7638 (for Ed25519: RFC 8037, 2): the same for the same key, whatever it is called.
    public var thumbprint: String {
        Base64URL.text(of: SHA256Digest.of(JSONValue.object(essentials).bytes))
    }

    /// The members that are the key, sorted by name as its thumbprint takes them.
    private var essentials: [JSONValue.Member] {
        let texts = numbers.map { JSONValue.string(Base64URL.text(of: $0)) }
        func member(_ name: String, _ text: String) -> JSONValue.Member {
            .init(name: name, value: .string(text))
        }
        switch kind {
        case .rsa where texts.count == 2:
            return [
                .init(name: "e", value: texts[1]), member("kty", "RSA"),
                .init(name: "n", value: texts[0]),
            ]
        case .p256 where texts.count == 2, .p384 where texts.count == 2,
            .p521 where texts.count == 2:
            let curve = kind == .p256 ? "P-256" : kind == .p384 ? "P-384" : "P-521"
            return [
                member("crv", curve), member("kty", "EC"), .init(name: "x", value: texts[0]),
                .init(name: "y", value: texts[1]),
            ]
        case .ed25519 where texts.count == 1:
            return [
                member("crv", "Ed25519"), member("kty", "OKP"),
                .init(name: "x", value: texts[0]),
            ]
        default: return []
        }
    }
}

extension KeySet {
    /// The text of a key set.
    public static func text(of keys: [JSONValue]) -> [UInt8] {
        JSONValue.object([.init(name: "keys", value: .array(keys))]).bytes
    }
}
