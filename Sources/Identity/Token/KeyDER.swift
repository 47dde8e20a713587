/// As much of DER (X.690, 10) as keys and signatures of tokens take: written, and read back.
enum KeyDER {
    static let integerTag: UInt8 = 0x02
    static let bitStringTag: UInt8 = 0x03
    static let sequenceTag: UInt8 = 0x30
    private static let null: [UInt8] = [0x05, 0x00]
    private static let rsaEncryption: [UInt8] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    ]
    private static let ecPublicKey: [UInt8] = [
        0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    ]
    private static let ed25519: [UInt8] = [0x06, 0x03, 0x2b, 0x65, 0x70]
    private static let p256: [UInt8] = [
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ]
    private static let p384: [UInt8] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]
    private static let p521: [UInt8] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23]

    /// A SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    static func rsaKey(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        let key = element(sequenceTag, integer(modulus) + integer(exponent))
        return publicKey(rsaEncryption + null, key)
    }

    /// - point: both coordinates, each of the curve's length (SEC 1, 2.3.3).
    static func curveKey(_ kind: KeyKind, x: [UInt8], y: [UInt8]) -> [UInt8]? {
        let curve: [UInt8]
        switch kind {
        case .p256: curve = p256
        case .p384: curve = p384
        case .p521: curve = p521
        case .rsa, .ed25519, .secret: return nil
        }
        let length = kind.coordinateBytes
        guard x.count == length, y.count == length else { return nil }
        return publicKey(ecPublicKey + curve, [0x04] + x + y)
    }

    static func ed25519Key(_ bytes: [UInt8]) -> [UInt8]? {
        bytes.count == 32 ? publicKey(ed25519, bytes) : nil
    }

    private static func publicKey(_ algorithm: [UInt8], _ key: [UInt8]) -> [UInt8] {
        element(sequenceTag, element(sequenceTag, algorithm) + element(bitStringTag, [0x00] + key))
    }

    /// A number that is not negative, the highest byte first.
    static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        var digits = Array(magnitude.drop { $0 == 0 })
        if digits.first.map({ $0 >= 0x80 }) ?? true { digits.insert(0, at: 0) }
        return element(integerTag, digits)
    }

    static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        switch count {
        case ..<0x80: return [tag, UInt8(count)] + content
        case ..<0x100: return [tag, 0x81, UInt8(count)] + content
        default:
            return [tag, 0x82, UInt8(truncatingIfNeeded: count >> 8), UInt8(count & 0xff)] + content
        }
    }

    // MARK: ECDSA

    /// From both halves in a row, as tokens have them (RFC 7518, 3.4), to what OpenSSL reads; nil
    /// for another length and for halves that are 0. That they are below the order, OpenSSL checks.
    static func signature(fromHalves halves: [UInt8], of kind: KeyKind) -> [UInt8]? {
        let length = kind.coordinateBytes
        guard length > 0, halves.count == 2 * length else { return nil }
        let (r, s) = (Array(halves[..<length]), Array(halves[length...]))
        guard r.contains(where: { $0 != 0 }), s.contains(where: { $0 != 0 }) else { return nil }
        return element(sequenceTag, integer(r) + integer(s))
    }

    /// And back.
    static func halves(fromSignature signature: [UInt8], of kind: KeyKind) -> [UInt8]? {
        var rest = signature[...]
        guard var sequence = content(sequenceTag, of: &rest), rest.isEmpty,
            let r = content(integerTag, of: &sequence), let s = content(integerTag, of: &sequence),
            sequence.isEmpty
        else { return nil }
        let length = kind.coordinateBytes
        var halves: [UInt8] = []
        for half in [r, s] {
            let digits = half.drop { $0 == 0 }
            guard digits.count <= length else { return nil }
            halves += [UInt8](repeating: 0, count: length - digits.count) + digits
        }
        return halves
    }

    private static func content(
        _ tag: UInt8, of bytes: inout ArraySlice<UInt8>
    ) -> ArraySlice<UInt8>? {
        guard bytes.popFirst() == tag, var count = bytes.popFirst().map({ Int($0) }) else {
            return nil
        }
        if count == 0x81 {
            guard let long = bytes.popFirst() else { return nil }
            count = Int(long)
        }
        guard count <= 0xff, count <= bytes.count else { return nil }
        let content = bytes.prefix(count)
        bytes = bytes.dropFirst(count)
        return content
    }
}
