internal import Wire

/// Why a peer's certificate does not prove who it is.
public enum PeerRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case noCertificate
    /// Too many certificates, or too long ones.
    case tooLarge(String)
    case unreadable(String)
    /// A rule for certificates is broken.
    case unfit(subject: String, String)
    /// No trust entry speaks for the trust domain.
    case unknownTrustDomain(SPIFFEID)
    /// In seconds since 1970.
    case expired(subject: String, since: Int64)
    case notYetValid(subject: String, until: Int64)
    case revoked(subject: String)
    /// There is no list that says whether it is revoked, or that list is too old or broken.
    case revocationUnknown(subject: String, String)
    /// No chain to an authority of the trust entry.
    case untrusted(subject: String, String)

    /// One word for counting.
    public var reason: String {
        switch self {
        case .noCertificate: "no_certificate"
        case .tooLarge: "too_large"
        case .unreadable: "unreadable"
        case .unfit: "unfit"
        case .unknownTrustDomain: "unknown_trust_domain"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .revoked: "revoked"
        case .revocationUnknown: "revocation_unknown"
        case .untrusted: "untrusted"
        }
    }

    public var description: String {
        switch self {
        case .noCertificate: "no certificate was sent"
        case .tooLarge(let words), .unreadable(let words): words
        case .unfit(let subject, let words): "the certificate of \(subject) is refused: \(words)"
        case .unknownTrustDomain(let id):
            "\(id) is of a trust domain that no trust entry here speaks for"
        case .expired(let subject, let since):
            "the certificate of \(subject) expired at \(UTC.text(seconds: since))"
        case .notYetValid(let subject, let until):
            "the certificate of \(subject) is not valid before \(UTC.text(seconds: until))"
        case .revoked(let subject): "the certificate of \(subject) is revoked"
        case .revocationUnknown(let subject, let words):
            "whether the certificate of \(subject) is revoked is not known: \(words)"
        case .untrusted(let subject, let words):
            "the certificate of \(subject) is not trusted: \(words)"
        }
    }
}
