/// What an X.509 certificate says (RFC 5280), read once. It proves nothing: see `PeerVerification`.
public struct Certificate: Hashable, Sendable {
    /// Longer ones are refused unread.
    public static let bytesMax = 16 << 10

    public enum Key: Hashable, Sendable {
        case rsa(bits: Int)
        case p256, p384, p521, ed25519
        /// What Weir does not take, in words.
        case other(String)
    }

    /// RFC 5280, 4.2.1.3; the bits of OpenSSL's `KU_*`.
    public struct Usage: OptionSet, Hashable, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let digitalSignature = Usage(rawValue: 0x80)
        public static let signsCertificates = Usage(rawValue: 0x04)
        public static let signsLists = Usage(rawValue: 0x02)
    }

    /// RFC 5280, 4.2.1.12.
    public struct Purposes: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let server = Purposes(rawValue: 1)
        public static let client = Purposes(rawValue: 2)
        /// Any other, `anyExtendedKeyUsage` among them: it stands for no purpose here.
        public static let other = Purposes(rawValue: 4)
    }

    public internal(set) var der: [UInt8] = []
    /// SHA-256 of `der`.
    public internal(set) var fingerprint: [UInt8] = []
    /// In OpenSSL's one-line form, for people.
    public internal(set) var subject = ""
    public internal(set) var issuer = ""
    /// Big-endian, without leading zeros.
    public internal(set) var serial: [UInt8] = []
    public internal(set) var isSerialNegative = false
    /// 1 to 3.
    public internal(set) var version = 0
    /// In seconds since 1970, like `notAfter`.
    public internal(set) var notBefore: Int64 = 0
    public internal(set) var notAfter: Int64 = 0
    public internal(set) var key = Key.other("none")
    /// Whether it was signed over SHA-256 or better, or with Ed25519.
    public internal(set) var isSignedStrongly = false
    public internal(set) var isAuthority = false
    /// nil where it says nothing.
    public internal(set) var usage: Usage?
    public internal(set) var isUsageCritical = false
    public internal(set) var purposes: Purposes?
    public internal(set) var uris: [[UInt8]] = []
    /// In lower case.
    public internal(set) var dnsNames: [String] = []
    /// A reason to refuse it whatever it is for: an extension twice, or one that must be
    /// understood and is not.
    public internal(set) var defect: String?
    /// Whether its name constraints exclude names.
    public internal(set) var excludesNames = false
    public internal(set) var isSelfIssued = false

    public init(der: [UInt8]) throws(CertificateError) {
        self = try CertificateHandle(der: der).certificate
    }

    /// The certificates of a PEM file, one at least.
    public static func list(pem: [UInt8]) throws(CertificateError) -> [Certificate] {
        var list: [Certificate] = []
        for block in try PEM.blocks(in: pem) where block.label == label {
            list.append(try Certificate(der: block.bytes))
        }
        if list.isEmpty { throw .unreadable("it holds no certificate (BEGIN CERTIFICATE)") }
        return list
    }

    public static let label = "CERTIFICATE"

    /// The ID of an X.509-SVID or of a signing certificate: its only URI.
    ///
    /// nil without a URI. One URI exactly, and a SPIFFE ID, or the certificate is refused
    /// (X509-SVID, 2).
    func spiffeID() throws(CertificateError) -> SPIFFEID? {
        guard let uri = uris.first else { return nil }
        guard uris.count == 1 else { throw .unfit("it has \(uris.count) URIs, of 1 allowed") }
        do {
            return try SPIFFEID(parsing: uri.span)
        } catch {
            throw .unfit("its URI is not a SPIFFE ID (\(error))")
        }
    }

    /// Made by `CertificateHandle.read` only.
    init() {}
}
