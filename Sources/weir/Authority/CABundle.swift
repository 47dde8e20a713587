internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca bundle`: what peers need.
struct CABundle: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle",
        abstract: "Writes whom peers are to believe, and new revocation lists.",
        discussion: """
            The authority's own bundle.pem and crl.pem are made anew. Do it well before the lists \
            expire: with an expired one, peers refuse everybody.
            """)

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var lists: ListLifetimeOption

    @Option(help: "A file for the roots, PEM; standard output without it.")
    var output: String?

    @Option(help: "A file for the revocation lists, PEM.")
    var revocations: String?

    func run() throws {
        try reporting {
            let opened = try directory.open()
            try opened.publish(listLifetime: lists.lifetime.seconds)
            if let revocations {
                try writeFile(try readFile("\(directory.path)/crl.pem"), revocations, .open)
            }
            if let output {
                try writeFile(opened.authority.bundle, output, .open)
            } else {
                print(String(decoding: opened.authority.bundle, as: UTF8.self), terminator: "")
            }
        }
    }
}
