internal import Control
internal import Identity
internal import Peers
internal import Synchronization

/// The demo's mesh: an authority, and who has a certificate of it. The authority's directory and
/// the files are as `weir ca` makes them, so that it works on them afterwards.
final class Mesh: Sendable {
    enum Member: String, CaseIterable {
        case weir
        case web
        case stranger
        case backendA = "backend-a"
        case backendB = "backend-b"

        var id: String { "spiffe://\(Mesh.domain)/\(rawValue)" }
        /// Certificate and key in one, which changes in one step.
        var file: String { "\(rawValue).pem" }
    }

    static let domain = "demo.example"
    static let bundleFile = "mesh-ca.pem"
    private static let lifetime = Lifetime(seconds: 86_400)
    private static let rootLifetime: Int64 = 30 * 86_400

    private let folder: String
    private let members = Mutex<[Member: PeerTLS.Terms]>([:])

    private var directory: String { "\(folder)/ca" }

    /// Makes the authority and a certificate for each member.
    init(in folder: String) throws(CommandFailure) {
        self.folder = folder
        let made = try AuthorityDirectory(making: directory) { () throws(CertificateError) in
            try Self.authority()
        }
        try made.save(listLifetime: Self.rootLifetime)
        for member in Member.allCases { try issue(member, made) }
        try publish(made)
    }

    private static func authority() throws(CertificateError) -> CertificateAuthority {
        try CertificateAuthority(
            trustDomain: domain, kind: .p256, lifetime: rootLifetime,
            at: AtomicFile.secondsNow())
    }

    /// Who a member is, and whom it believes, as of now.
    func terms(of member: Member) -> PeerTLS.Terms {
        members.withLock { $0[member] }
            ?? PeerTLS.Terms(certificate: nil, privateKey: nil, authorities: [])
    }

    func serialNumber(of member: Member) -> [UInt8]? {
        let pem = terms(of: member).certificate ?? []
        return (try? Certificate.list(pem: pem))?.first?.serial
    }

    /// Terms of somebody with a member's name and another authority's certificate; nil where
    /// OpenSSL fails.
    func namesake(of member: Member) -> PeerTLS.Terms? {
        var terms = terms(of: member)
        do throws(CertificateError) {
            var foreign = try Self.authority()
            let key = try PrivateKey.generate(.p256)
            let chain = try foreign.issue(
                try Self.names(of: member), publicKey: key.publicKey,
                lifetime: Self.lifetime.seconds, at: AtomicFile.secondsNow())
            terms.certificate = AuthorityDirectory.pem(chain)
            terms.privateKey = key.pem
            return terms
        } catch {
            return nil
        }
    }

    private static func names(of member: Member) throws(CertificateError) -> CertificateNames {
        guard let id = try? SPIFFEID(member.id) else { throw .unfit("\(member.id) is no ID") }
        // Clients that know nothing of SPIFFE look for the name that they connect to.
        let names = member == .weir ? [domain, "localhost"] : []
        return try CertificateNames(spiffeID: id, dnsNames: names)
    }

    // MARK: Changes

    /// A new certificate with a new key.
    func renew(_ members: [Member]) throws(CommandFailure) {
        let opened = try AuthorityDirectory(directory)
        for member in members { try issue(member, opened) }
    }

    /// The next root, which signs from now on; everybody believes both.
    func rotateRoot() throws(CommandFailure) {
        let opened = try AuthorityDirectory(directory)
        try about(directory) { () throws(CertificateError) in
            try opened.authority.rotateRoot(
                kind: .p256, lifetime: Self.rootLifetime, at: AtomicFile.secondsNow())
        }
        try opened.save(listLifetime: Self.rootLifetime)
        try publish(opened)
    }

    /// Nobody believes any root but the last.
    func retireRoot() throws(CommandFailure) {
        let opened = try AuthorityDirectory(directory)
        // What the first root issued has been replaced, and has not expired.
        let retired = try about(directory) { () throws(CertificateError) in
            try opened.authority.retireRoots(isForced: true, at: AtomicFile.secondsNow())
        }
        try opened.save(listLifetime: Self.rootLifetime)
        try opened.removeRoots(retired)
        try publish(opened)
    }

    private func issue(_ member: Member, _ opened: AuthorityDirectory) throws(CommandFailure) {
        let (names, key) = try about(member.id) { () throws(CertificateError) in
            (try Self.names(of: member), try PrivateKey.generate(.p256))
        }
        let chain = AuthorityDirectory.pem(
            try opened.issue(names, key.publicKey, Self.lifetime))
        try writeFile(chain + key.pem, "\(folder)/\(member.file)", .secret)
        var terms = terms(of: member)
        terms.certificate = chain
        terms.privateKey = key.pem
        terms.asksForCertificate = true
        members.withLock { [terms] in $0[member] = terms }
    }

    private func publish(_ opened: AuthorityDirectory) throws(CommandFailure) {
        let bundle = opened.authority.bundle
        try writeFile(bundle, "\(folder)/\(Self.bundleFile)", .open)
        members.withLock { members in
            for member in members.keys { members[member]?.authorities = bundle }
        }
    }
}
