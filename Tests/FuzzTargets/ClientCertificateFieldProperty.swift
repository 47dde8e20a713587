import Identity
import Proxy

/// `x-forwarded-client-cert`, whatever a certificate has for names: one element with exactly what
/// was proven, when it is read as Envoy reads it.
///
/// The first byte says whether Weir has an identity, and whether the client has a SPIFFE ID, the
/// first line, or DNS names, all lines.
enum ClientCertificateFieldProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        let (mode, rest) = bytes.split()
        let lines = rest.split(separator: 0x0a).prefix(20).map {
            String(decoding: $0, as: UTF8.self)
        }
        let isSPIFFE = mode & 2 != 0
        let id = isSPIFFE ? lines.first.flatMap { try? SPIFFEID($0) } : nil
        if isSPIFFE, id == nil { return nil }
        let own = mode & 1 != 0 ? try? SPIFFEID("spiffe://mesh.example/weir") : nil
        let fingerprint = [UInt8](repeating: mode, count: 32)
        let peer = PeerIdentity(
            spiffeID: id, dnsNames: lines, trust: "mesh.example", expiresAt: 0,
            fingerprint: fingerprint)
        let value = ClientCertificateField.value(of: peer, by: own)
        guard value.allSatisfy({ (0x21...0x7e).contains($0) }) else { return "is no field's value" }
        guard let elements = read(value), elements.count == 1 else { return "is not one element" }
        let digits = (mode < 16 ? "0" : "") + String(mode, radix: 16)
        var expected = own.map { [["By", "\($0)"]] } ?? []
        expected.append(["Hash", String(repeating: digits, count: 32)])
        if let id { expected.append(["URI", "\(id)"]) }
        guard elements[0].starts(with: expected) else { return "says \(elements)" }
        for pair in elements[0].dropFirst(expected.count) {
            guard id == nil, pair[0] == "DNS", lines.contains(pair[1]) else {
                return "says \(pair)"
            }
        }
        return nil
    }

    /// Elements by commas, pairs by semicolons, neither within quotes, where a backslash escapes.
    private static func read(_ value: [UInt8]) -> [[[String]]]? {
        var elements: [[[String]]] = [[]]
        var (key, text): ([UInt8]?, [UInt8]) = (nil, [])
        var (isQuoted, isEscaped) = (false, false)
        for byte in value + [UInt8(ascii: ",")] {
            if isEscaped {
                text.append(byte)
                isEscaped = false
                continue
            }
            switch byte {
            case UInt8(ascii: "\\") where isQuoted: isEscaped = true
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: "=") where key == nil && !isQuoted:
                key = text
                text = []
            case UInt8(ascii: ";") where !isQuoted, UInt8(ascii: ",") where !isQuoted:
                guard let name = key else { return nil }
                elements[elements.count - 1].append(
                    [String(decoding: name, as: UTF8.self), String(decoding: text, as: UTF8.self)])
                (key, text) = (nil, [])
                if byte == UInt8(ascii: ",") { elements.append([]) }
            default: text.append(byte)
            }
        }
        return isQuoted ? nil : Array(elements.dropLast())
    }
}
