internal import Identity
internal import Rules

/// What the files that a configuration names hold: certificates, keys, authorities, revocations.
///
/// The last good version of each is kept, so that a file which is broken, half written or expired
/// when it is read again changes nothing: a warning says so, and what was in use stays in use. Kept
/// by whoever loads the same configuration again and again, on one thread.
public final class Materials {
    /// What one file may hold.
    public static let bytesMax = 4 << 20
    /// Where Debian keeps the authorities of the public web.
    public static let systemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

    /// How a file is read: its bytes, and whether everybody may read it.
    public struct Source {
        public var read: (String) -> Result<[UInt8], Failure>
        public var isWorldReadable: (String) -> Bool
        /// Seconds since 1970.
        public var unixTime: () -> Int64

        public init(
            read: @escaping (String) -> Result<[UInt8], Failure>,
            isWorldReadable: @escaping (String) -> Bool, unixTime: @escaping () -> Int64
        ) {
            self.read = read
            self.isWorldReadable = isWorldReadable
            self.unixTime = unixTime
        }

        /// The system's files and clock.
        public static var system: Source {
            Source(
                read: { path in
                    FileReader.read(path, limit: bytesMax).mapError { Failure($0.message) }
                },
                isWorldReadable: FileReader.isWorldReadable, unixTime: FileReader.unixTime)
        }
    }

    /// Why a file cannot be used, in words.
    public struct Failure: Error, Equatable {
        public let words: String
        /// What would have been right, where that is not plain.
        let expected: String?

        public init(_ words: String, expected: String? = nil) {
            self.words = words
            self.expected = expected
        }
    }

    /// What was read, with the last good version where that is older.
    enum Reading<Value> {
        case fresh(Value)
        case kept(Value, Failure)
        case failed(Failure)

        var value: Value? {
            switch self {
            case .fresh(let value), .kept(let value, _): value
            case .failed: nil
            }
        }
    }

    let source: Source
    private var identities: [[String]: (files: [[UInt8]], value: LocalIdentity)] = [:]
    private var bundles: [[String]: (files: [[UInt8]], value: TrustBundle)] = [:]
    private var keySets: [[String]: (files: [[UInt8]], value: KeySet)] = [:]
    private var signingKeys: [[String]: (files: [[UInt8]], value: SigningKeys)] = [:]
    private var endpointLists: [[String]: (files: [[UInt8]], value: [EndpointTerms])] = [:]
    private var tokens: [[String]: (files: [[UInt8]], value: [UInt8])] = [:]

    public init(_ source: Source = .system) { self.source = source }

    func identity(name: String, certificate: String, key: String) -> Reading<LocalIdentity> {
        if let failure = exposure(of: key, "private key") {
            return kept(identities[[name, certificate, key]]?.value, failure)
        }
        return reading([name, certificate, key], [certificate, key], &identities) {
            (files) throws(CertificateError) in
            try LocalIdentity(
                certificate: files[0], privateKey: files[1], at: source.unixTime())
        }
    }

    func bundle(
        name: String, authorities: String, revocations: String?, isSystem: Bool = false
    ) -> Reading<TrustBundle> {
        let files = [authorities] + (revocations.map { [$0] } ?? [])
        return reading([name] + files, files, &bundles) { (files) throws(CertificateError) in
            try TrustBundle(
                name: name, authorities: files[0], revocations: files.count > 1 ? files[1] : nil,
                origin: isSystem ? .system : .configured)
        }
    }

    /// The keys of a token issuer: a JWKS, or one secret.
    func keySet(_ path: String, isSecret: Bool) -> Reading<KeySet> {
        let key = [path, isSecret ? "secret" : "keys"]
        if isSecret, let failure = exposure(of: path, "secret") {
            return kept(keySets[key]?.value, failure)
        }
        return reading(key, [path], &keySets) { (files) throws(KeyFileFault) in
            try isSecret ? KeyFileFault.secret(files[0]) : KeyFileFault.keys(files[0])
        }
    }

    /// The key that signs tokens, and the set that is published.
    func signingKeys(key: String, published: String) -> Reading<SigningKeys> {
        let known = [key, published]
        if let failure = exposure(of: key, "private key") {
            return kept(signingKeys[known]?.value, failure)
        }
        return reading(known, known, &signingKeys) { (files) throws(KeyFileFault) in
            try SigningKeys(key: files[0], published: files[1])
        }
    }

    /// A file with a list of endpoints.
    func endpoints(_ path: String) -> Reading<[EndpointTerms]> {
        reading([path], [path], &endpointLists) { (files) throws(EndpointFile.Failure) in
            try EndpointFile.parse(files[0], named: path).get()
        }
    }

    /// A token to pass on.
    func token(_ path: String) -> Reading<[UInt8]> {
        if let failure = exposure(of: path, "token") {
            return kept(tokens[[path]]?.value, failure)
        }
        return reading([path], [path], &tokens) { (files) throws(KeyFileFault) in
            try KeyFileFault.token(files[0])
        }
    }

    /// Why a file is not read that its owner alone should be able to read.
    private func exposure(of path: String, _ what: String) -> Failure? {
        guard source.isWorldReadable(path) else { return nil }
        return Failure("everybody may read the \(what) \(path)", expected: "chmod o-r, or less")
    }

    /// Files that have not changed are not looked at again: what they hold may have expired, which
    /// is no reason to stop using it.
    private func reading<Value, Fault: Error>(
        _ key: [String], _ paths: [String],
        _ known: inout [[String]: (files: [[UInt8]], value: Value)],
        _ make: ([[UInt8]]) throws(Fault) -> Value
    ) -> Reading<Value> {
        var files: [[UInt8]] = []
        for path in paths {
            switch source.read(path) {
            case .failure(let failure):
                return kept(known[key]?.value, Failure("\(path): \(failure.words)"))
            case .success(let bytes) where bytes.count > Self.bytesMax:
                return kept(known[key]?.value, Failure("\(path) has more than 4 MiB"))
            case .success(let bytes): files.append(bytes)
            }
        }
        if let earlier = known[key], earlier.files == files { return .fresh(earlier.value) }
        do {
            let value = try make(files)
            known[key] = (files, value)
            return .fresh(value)
        } catch {
            let names = paths.joined(separator: ", ")
            return kept(known[key]?.value, Failure("\(names): \(error)"))
        }
    }

    private func kept<Value>(_ earlier: Value?, _ failure: Failure) -> Reading<Value> {
        guard let earlier else { return .failed(failure) }
        return .kept(earlier, failure)
    }
}

/// Why a file holds no keys for tokens.
struct KeyFileFault: Error, CustomStringConvertible {
    let description: String

    static func keys(_ bytes: [UInt8]) throws(KeyFileFault) -> KeySet {
        let set: KeySet
        do { set = try KeySet(parsing: bytes, allowsSecrets: false) } catch {
            throw KeyFileFault(description: error.description)
        }
        guard set.keys.isEmpty else { return set }
        let reason = set.omissions.first.map { ": the first, \($0.reason)" } ?? ""
        throw KeyFileFault(description: "none of its keys can be used\(reason)")
    }

    static func secret(_ bytes: [UInt8]) throws(KeyFileFault) -> KeySet {
        let secret = KeySet.secret(in: bytes)
        guard secret.count >= 32 else {
            throw KeyFileFault(description: "the secret has less than 32 bytes")
        }
        guard secret.count <= KeySet.secretBytesMax else {
            throw KeyFileFault(description: "the secret has more than 1024 bytes")
        }
        return KeySet(secret: secret)
    }

    /// RFC 6750, section 2.1: b64token.
    static func token(_ file: [UInt8]) throws(KeyFileFault) -> [UInt8] {
        let token = KeySet.secret(in: file)
        let isToken = token.allSatisfy { byte in
            byte.isLetter || byte.isDigit || "-._~+/=".utf8.contains(byte)
        }
        guard isToken, !token.isEmpty else {
            throw KeyFileFault(description: "no bearer token, alone on a line")
        }
        guard token.count <= CompactToken.bytesMax else {
            throw KeyFileFault(description: "a token of more than 16 KiB")
        }
        return token
    }
}

/// What a folder of `weir token keys rotate` holds.
struct SigningKeys {
    let signer: TokenSigner
    let published: [UInt8]
    /// Whoever reads the published set can verify what is signed.
    let isPublished: Bool

    init(key: [UInt8], published: [UInt8]) throws(KeyFileFault) {
        guard let signer = SigningKey(pem: key).flatMap({ TokenSigner($0) }) else {
            throw KeyFileFault(description: "no private key in PEM that signs tokens")
        }
        let set = try KeyFileFault.keys(published)
        self.signer = signer
        self.published = published
        isPublished = set.key(signer.keyID) != nil
    }
}
