internal import Wire

/// Why a file with certificates or keys cannot be used.
public enum CertificateError: Error, Equatable, CustomStringConvertible {
    /// It is not what it should be.
    case unreadable(String)
    /// It can be read and does not do.
    case unfit(String)
    case keyDoesNotFit
    /// The time is in seconds since 1970.
    case expired(subject: String, since: Int64)
    case notYetValid(subject: String, until: Int64)

    public var description: String {
        switch self {
        case .unreadable(let words), .unfit(let words): words
        case .keyDoesNotFit: "the private key is not that of the certificate"
        case .expired(let subject, let since):
            "the certificate of \(subject) expired at \(UTC.text(seconds: since))"
        case .notYetValid(let subject, let until):
            "the certificate of \(subject) is not valid before \(UTC.text(seconds: until))"
        }
    }
}
