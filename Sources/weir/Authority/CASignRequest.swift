internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca sign-request`: a certificate for a key that stays where it was made.
struct CASignRequest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign-request",
        abstract: "Issues a certificate for a request (PKCS #10), whose key stays elsewhere.",
        discussion: """
            You say whom the certificate is for. What the request asks for must be the same, or \
            nothing.
            """)

    @OptionGroup var directory: AuthorityOption

    @Option(help: "The request, PEM.")
    var request: String

    @Option(help: "Whom it is for: spiffe://DOMAIN/path.")
    var id: SPIFFEID

    @Option(help: "A DNS name that it is for, too; may be given several times.")
    var dns: [String] = []

    @Option(help: "Its lifetime, 90d at most.")
    var lifetime = Lifetime(seconds: 86_400)

    @Option(help: "The file for the certificate and those between it and the root, PEM.")
    var certificate: String

    func run() throws {
        try reporting {
            let pem = try readFile(request)
            let asked = try about(request) { () throws(CertificateError) in
                try CertificateRequest(pem: pem)
            }
            let names = try about("\(id)") { () throws(CertificateError) in
                try CertificateNames(spiffeID: id, dnsNames: dns)
            }
            if let other = asked.spiffeID, other != id {
                throw CommandFailure(request, "it asks for \(other), not for \(id)", .no)
            }
            for name in asked.dnsNames where !names.dnsNames.contains(name) {
                throw CommandFailure(request, "it asks for \(name), which no --dns names", .no)
            }
            let chain = try directory.open().issue(names, asked.publicKey, lifetime)
            try writeFile(AuthorityDirectory.pem(chain), certificate, .open)
            print(chain[0].summary)
        }
    }
}
