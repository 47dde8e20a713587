internal import ArgumentParser
internal import Control
internal import Identity
internal import Wire

/// An authority's files, in a directory for its owner alone:
///
///     index                    what was issued and revoked
///     root-1.crt root-1.key    a root's certificate and private key
///     cross-2.crt              the second root's, signed by the first
///     bundle.pem crl.pem       whom peers are to believe, and what was revoked
///
/// The index says which roots count. It is written last, so that whatever happens in between, what
/// it names is there.
final class AuthorityDirectory {
    let path: String
    var authority: CertificateAuthority
    private let lock: DirectoryLock

    /// Opens one that is there, for this process alone until it is let go.
    init(_ path: String) throws(CommandFailure) {
        self.path = path
        guard AtomicFile.exists("\(path)/index") else {
            throw CommandFailure(
                path, "is not an authority's directory (weir ca init makes one)", .cannot)
        }
        lock = try onFiles { () throws(AtomicFile.Failure) in try DirectoryLock(directory: path) }
        authority = try Self.read(path)
    }

    /// Makes one.
    init(
        making path: String, _ make: () throws(CertificateError) -> CertificateAuthority
    ) throws(CommandFailure) {
        self.path = path
        if !AtomicFile.exists(path) {
            try onFiles { () throws(AtomicFile.Failure) in try AtomicFile.makeDirectory(path) }
        }
        lock = try onFiles { () throws(AtomicFile.Failure) in try DirectoryLock(directory: path) }
        guard !AtomicFile.exists("\(path)/index") else {
            throw CommandFailure(path, "is an authority's directory already", .no)
        }
        authority = try about(path, make)
    }

    private static func read(_ path: String) throws(CommandFailure) -> CertificateAuthority {
        let text = try readFile("\(path)/index", bytesMax: 256 << 20)
        let index = try about("\(path)/index") { () throws(CertificateError) in
            try AuthorityIndex(text: text)
        }
        var roots: [AuthorityRoot] = []
        for number in index.roots {
            let certificate = "\(path)/root-\(number).crt"
            let pem = try readFile(certificate)
            let key = try readFile("\(path)/root-\(number).key")
            let cross = "\(path)/cross-\(number).crt"
            let crossPEM = AtomicFile.exists(cross) ? try readFile(cross) : nil
            let root = try about(certificate) { () throws(CertificateError) in
                try AuthorityRoot(
                    number: number, certificate: Certificate.list(pem: pem)[0],
                    key: PrivateKey(pem: key),
                    crossCertificate: crossPEM.map { (pem) throws(CertificateError) in
                        try Certificate.list(pem: pem)[0]
                    })
            }
            roots.append(root)
        }
        return try about("\(path)/index") { () throws(CertificateError) in
            try CertificateAuthority(index: index, roots: roots)
        }
    }

    /// Keeps what was issued or revoked.
    func saveIndex() throws(CommandFailure) {
        try writeFile(authority.index.text, "\(path)/index", .secret)
    }

    /// Keeps new roots, and writes what peers need.
    ///
    /// - listLifetime: of the revocation lists, in seconds.
    func save(listLifetime: Int64) throws(CommandFailure) {
        for root in authority.roots where !AtomicFile.exists(file("root", root, "key")) {
            try writeFile(root.key.pem, file("root", root, "key"), .secret)
            try writeFile(Self.pem([root.certificate]), file("root", root, "crt"), .open)
            if let cross = root.crossCertificate {
                try writeFile(Self.pem([cross]), file("cross", root, "crt"), .open)
            }
        }
        try publish(listLifetime: listLifetime)
    }

    /// Makes new revocation lists. Peers may have lists of roots that they do not know yet, and not
    /// the other way round: so lists come first.
    func publish(listLifetime: Int64) throws(CommandFailure) {
        let now = AtomicFile.secondsNow()
        let lists = try about(path) { () throws(CertificateError) in
            try authority.revocationLists(lifetime: listLifetime, at: now)
        }
        try saveIndex()
        try writeFile(lists, "\(path)/crl.pem", .open)
        try writeFile(authority.bundle, "\(path)/bundle.pem", .open)
    }

    /// Forgets the files of roots that do not count any more.
    func removeRoots(_ numbers: [Int]) throws(CommandFailure) {
        for number in numbers {
            for name in ["root-\(number).key", "root-\(number).crt", "cross-\(number).crt"]
            where AtomicFile.exists("\(path)/\(name)") {
                try onFiles { () throws(AtomicFile.Failure) in
                    try AtomicFile.remove("\(path)/\(name)")
                }
            }
        }
    }

    static func pem(_ certificates: [Certificate]) -> [UInt8] {
        PEM.text(certificates.map { .init(label: Certificate.label, bytes: $0.der) })
    }

    private func file(_ name: String, _ root: AuthorityRoot, _ type: String) -> String {
        "\(path)/\(name)-\(root.number).\(type)"
    }
}
