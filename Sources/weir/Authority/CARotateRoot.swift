internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca rotate-root`: the next root, or the end of those before.
struct CARotateRoot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-root",
        abstract: "Makes the next root, or with --retire stops believing those before.",
        discussion: """
            The next root signs at once. Peers believe both: those that do not know it yet by the \
            certificate that the root before gave it, which comes with every certificate issued. \
            Give bundle.pem and crl.pem to all peers, wait until all old certificates were \
            renewed, then --retire.
            """)

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var lists: ListLifetimeOption

    @Option(help: "The new root's kind of key: ec-p256 or ed25519.")
    var key = PrivateKey.Kind.p256

    @Option(help: "The new root's lifetime.")
    var lifetime = Lifetime(seconds: 1_825 * 86_400)

    @Flag(help: "Stop believing all roots but the last.")
    var retire = false

    @Flag(help: "With --retire: even if what they issued has not expired.")
    var force = false

    func run() throws {
        try reporting {
            let opened = try directory.open()
            let now = AtomicFile.secondsNow()
            if retire {
                let retired = try about(directory.path) { () throws(CertificateError) in
                    try opened.authority.retireRoots(isForced: force, at: now)
                }
                try opened.save(listLifetime: lists.lifetime.seconds)
                try opened.removeRoots(retired)
                print("retired \(retired.count) roots")
            } else {
                try about(directory.path) { () throws(CertificateError) in
                    try opened.authority.rotateRoot(
                        kind: key, lifetime: lifetime.seconds, at: now)
                }
                try opened.save(listLifetime: lists.lifetime.seconds)
                let numbers = opened.authority.roots.map { "\($0.number)" }
                print("roots \(numbers.joined(separator: ", ")); the last one signs")
            }
        }
    }
}
