/// Which peers are meant: one SPIFFE ID, all below one, a DNS name, or any that was verified.
///
/// - `spiffe://mesh.example/web`: that ID and no other.
/// - `spiffe://mesh.example/web/*`: IDs with one or more whole segments below `/web`, never `/web`
///   itself; `spiffe://mesh.example/*` any ID of the trust domain. Never across trust domains.
/// - `dns:web.example`: a certificate without a SPIFFE ID that has that DNS name.
/// - `verified`: any peer with a verified certificate.
public enum PeerPattern: Hashable, Sendable, CustomStringConvertible {
    case exactly(SPIFFEID)
    /// Ends in `/`: the trust domain's part and whole segments, without the `*`.
    case below(String)
    case dns(String)
    case verified

    public enum ParseError: Error, Equatable {
        case spiffe(SPIFFEID.ParseError)
        /// An ID that names a trust domain alone is nobody's.
        case noPath
        case dnsName
        case unknownForm
    }

    public init(_ text: String) throws(ParseError) {
        if text == "verified" {
            self = .verified
        } else if text.hasPrefix("dns:") {
            let name = text.dropFirst("dns:".count).lowercased()
            guard Self.isName(name) else { throw .dnsName }
            self = .dns(name)
        } else if text.utf8.prefix(7).elementsEqual("spiffe:".utf8) {
            try self.init(spiffe: text)
        } else {
            throw .unknownForm
        }
    }

    private init(spiffe text: String) throws(ParseError) {
        let id: SPIFFEID
        let isPrefix = text.hasSuffix("/*")
        do { id = try SPIFFEID(isPrefix ? String(text.dropLast(2)) : text) } catch {
            throw .spiffe(error)
        }
        if isPrefix {
            self = .below(id.description + "/")
        } else {
            guard !id.path.isEmpty else { throw .noPath }
            self = .exactly(id)
        }
    }

    public func matches(_ peer: PeerIdentity) -> Bool {
        switch self {
        case .verified: true
        case .exactly(let id): peer.spiffeID == id
        case .below(let start):
            peer.spiffeID.map { $0.description.utf8.starts(with: start.utf8) } ?? false
        case .dns(let name): peer.spiffeID == nil && peer.dnsNames.contains(name)
        }
    }

    /// The trust domain that all it matches are of; nil where it names none.
    public var trustDomain: String? {
        switch self {
        case .verified, .dns: nil
        case .exactly(let id): String(id.trustDomain)
        case .below(let start):
            String(start.dropFirst("spiffe://".count).prefix { $0 != "/" })
        }
    }

    public var description: String {
        switch self {
        case .verified: "verified"
        case .exactly(let id): id.description
        case .below(let start): start + "*"
        case .dns(let name): "dns:" + name
        }
    }

    /// Labels of letters, digits, `-` and `_`, at most 253 bytes.
    private static func isName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 253 else { return false }
        return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && label.utf8.count <= 63
                && label.utf8.allSatisfy {
                    ($0 >= 0x61 && $0 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2d
                        || $0 == 0x5f
                }
        }
    }
}
