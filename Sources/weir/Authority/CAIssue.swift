internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca issue`: a certificate with a new key.
struct CAIssue: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Issues a certificate with a new private key.")

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var files: IdentityFiles

    @Option(help: "Whom it is for: spiffe://DOMAIN/path.")
    var id: SPIFFEID

    @Option(help: "A DNS name that it is for, too; may be given several times.")
    var dns: [String] = []

    @Option(help: "Its lifetime, 90d at most.")
    var lifetime = Lifetime(seconds: 86_400)

    @Option(help: "Its kind of key: ec-p256 or ed25519.")
    var key = PrivateKey.Kind.p256

    func run() throws {
        try reporting {
            let names = try about("\(id)") { () throws(CertificateError) in
                try CertificateNames(spiffeID: id, dnsNames: dns)
            }
            let opened = try directory.open()
            let new = try about("\(id)") { () throws(CertificateError) in
                try PrivateKey.generate(key)
            }
            let chain = try opened.issue(names, new.publicKey, lifetime)
            try files.write(chain, new)
            print(chain[0].summary)
        }
    }
}

extension AuthorityDirectory {
    /// The index knows of a certificate before anybody else does.
    func issue(
        _ names: CertificateNames, _ publicKey: [UInt8], _ lifetime: Lifetime
    ) throws(CommandFailure) -> [Certificate] {
        let chain = try about("\(names.spiffeID)") { () throws(CertificateError) in
            try authority.issue(
                names, publicKey: publicKey, lifetime: lifetime.seconds,
                at: AtomicFile.secondsNow())
        }
        try saveIndex()
        return chain
    }
}
