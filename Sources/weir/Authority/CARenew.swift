internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca renew`: the next certificate of who has one.
struct CARenew: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew",
        abstract: "Issues the next certificate for the names of one that is in force.",
        discussion: """
            Both files are replaced. What was revoked or has expired is not renewed. The key is \
            new, unless --keep-key.
            """)

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var files: IdentityFiles

    @Option(help: "The new certificate's lifetime, 90d at most.")
    var lifetime = Lifetime(seconds: 86_400)

    @Option(help: "The new key's kind: ec-p256 or ed25519.")
    var key = PrivateKey.Kind.p256

    @Flag(help: "Keep the private key.")
    var keepKey = false

    @Option(help: "Ask the authority that serves on this unix socket, instead of --authority.")
    var socket: String?

    func validate() throws {
        if socket != nil, keepKey { throw ValidationError("with --socket the key is always new") }
    }

    func run() throws {
        try reporting {
            if let socket {
                try renew(over: socket)
            } else {
                try renewHere()
            }
        }
    }

    private func renew(over socket: String) throws(CommandFailure) {
        let now = AtomicFile.secondsNow()
        let (pem, keyPEM) = (try readFile(files.certificate), try readFile(files.privateKey))
        let current = try about(files.certificate) { () throws(CertificateError) in
            try LocalIdentity(certificate: pem, privateKey: keyPEM, at: now)
        }
        let renewed: RenewalClient.Renewed
        do throws(RenewalClient.Failure) {
            renewed = try RenewalClient.renew(current, kind: key, socket: socket, at: now)
        } catch {
            throw CommandFailure(socket, error.description, .no)
        }
        let chain = try about(socket) { () throws(CertificateError) in
            try Certificate.list(pem: renewed.certificate)
        }
        try files.write(chain, renewed.key)
        print(chain[0].summary)
    }

    private func renewHere() throws(CommandFailure) {
        let pem = try readFile(files.certificate)
        let old = try about(files.certificate) { () throws(CertificateError) in
            try Certificate.list(pem: pem)[0]
        }
        let opened = try directory.open()
        let record = try about(files.certificate) { () throws(CertificateError) in
            try opened.authority.recordInForce(of: old, at: AtomicFile.secondsNow())
        }
        let key = try nextKey(for: old)
        let chain = try opened.issue(record.names, key.publicKey, lifetime)
        try files.write(chain, key)
        print(chain[0].summary)
    }

    private func nextKey(for old: Certificate) throws(CommandFailure) -> PrivateKey {
        guard keepKey else {
            return try about(files.privateKey) { () throws(CertificateError) in
                try PrivateKey.generate(key)
            }
        }
        let pem = try readFile(files.privateKey)
        return try about(files.privateKey) { () throws(CertificateError) in
            let kept = try PrivateKey(pem: pem)
            guard kept.fits(old) else { throw .keyDoesNotFit }
            return kept
        }
    }
}
