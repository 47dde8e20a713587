/// Whom a certificate is for.
public struct CertificateNames: Hashable, Sendable {
    /// In one certificate.
    public static let dnsNamesMax = 32

    public let spiffeID: SPIFFEID
    public let dnsNames: [String]

    /// - spiffeID: with a path: one without is the trust domain's own.
    /// - dnsNames: labels of letters, digits and inner hyphens; the first may be `*`.
    public init(spiffeID: SPIFFEID, dnsNames: [String] = []) throws(CertificateError) {
        guard !spiffeID.path.isEmpty else {
            throw .unfit("\(spiffeID) has no path: it would be the trust domain's own")
        }
        guard dnsNames.count <= Self.dnsNamesMax else {
            throw .unfit("\(dnsNames.count) DNS names, of \(Self.dnsNamesMax) allowed")
        }
        for name in dnsNames where !Self.isDNSName(name) {
            throw .unfit("'\(name)' is no DNS name")
        }
        self.spiffeID = spiffeID
        self.dnsNames = dnsNames.map { $0.lowercased() }
    }

    /// In the language of x509v3_config(5): neither an ID nor a name holds any of its signs.
    var extensionValue: String {
        (["URI:\(spiffeID)"] + dnsNames.map { "DNS:\($0)" }).joined(separator: ",")
    }

    static func isDNSName(_ name: String) -> Bool {
        let labels = name.utf8.split(
            separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard name.utf8.count <= 253 else { return false }
        let isWildcard = labels.count > 2 && labels[0].elementsEqual("*".utf8)
        return labels.dropFirst(isWildcard ? 1 : 0).allSatisfy(isLabel)
    }

    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        let hyphen = UInt8(ascii: "-")
        guard (1...63).contains(label.count), label.first != hyphen, label.last != hyphen else {
            return false
        }
        return label.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), hyphen:
                true
            default: false
            }
        }
    }
}
