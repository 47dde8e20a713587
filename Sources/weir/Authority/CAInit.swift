internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca init`: makes an authority.
struct CAInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Makes an authority: a directory with a root in it.")

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var lists: ListLifetimeOption

    @Option(help: "The trust domain, as in spiffe://DOMAIN/path.")
    var domain: String

    @Option(help: "The root's kind of key: ec-p256 or ed25519.")
    var key = PrivateKey.Kind.p256

    @Option(help: "The root's lifetime.")
    var lifetime = Lifetime(seconds: 1_825 * 86_400)

    func run() throws {
        try reporting {
            let made = try AuthorityDirectory(making: directory.path) {
                () throws(CertificateError) in
                try CertificateAuthority(
                    trustDomain: domain, kind: key, lifetime: lifetime.seconds,
                    at: AtomicFile.secondsNow())
            }
            try made.save(listLifetime: lists.lifetime.seconds)
            print("\(directory.path): authority of \(made.authority.trustDomain)")
        }
    }
}
