package import Identity
internal import Wire

/// What `x-forwarded-client-cert` says of a client, in the form that Envoy gave it: `Hash` is the
/// SHA-256 of its certificate, `URI` its SPIFFE ID or `DNS` each of its names, and `By` the SPIFFE
/// ID that Weir showed it.
package enum ClientCertificateField {
    static let name: StaticString = "x-forwarded-client-cert"

    /// - server: nil where Weir has none, or which one it showed is not certain.
    package static func value(of peer: PeerIdentity, by server: SPIFFEID?) -> [UInt8] {
        var parts = server.map { ["By=\($0)"] } ?? []
        parts.append("Hash=" + Hexadecimal.text(of: peer.fingerprint))
        if let id = peer.spiffeID {
            parts.append("URI=\(id)")
        } else {
            // A name with anything in it that would have to be quoted is no DNS name.
            parts += peer.dnsNames.filter { $0.utf8.allSatisfy(isPlain) }.map { "DNS=\($0)" }
        }
        return Array(parts.joined(separator: ";").utf8)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
