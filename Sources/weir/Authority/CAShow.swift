internal import ArgumentParser
internal import Control
internal import Identity
internal import Wire

/// `weir ca show`: an authority, or what is in a file.
struct CAShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows an authority and what it has issued, or the certificates of a file.")

    @OptionGroup var directory: AuthorityOption

    @Argument(help: "A PEM file with certificates.")
    var file: String?

    func run() throws {
        try reporting {
            if let file {
                let pem = try readFile(file)
                let list = try about(file) { () throws(CertificateError) in
                    try Certificate.list(pem: pem)
                }
                for certificate in list { print(certificate.summary) }
            } else {
                show(try directory.open().authority)
            }
        }
    }

    private func show(_ authority: CertificateAuthority) {
        print("trust domain \(authority.trustDomain)")
        for root in authority.roots {
            let role = root.number == authority.roots.last?.number ? "signs" : "believed"
            let end = UTC.text(seconds: root.certificate.notAfter)
            print("root \(root.number)  \(role)  until \(end)")
        }
        let now = AtomicFile.secondsNow()
        for record in authority.index.records {
            let state =
                if let revokedAt = record.revokedAt {
                    "revoked \(UTC.text(seconds: revokedAt))"
                } else if record.notAfter < now {
                    "expired \(UTC.text(seconds: record.notAfter))"
                } else {
                    "until \(UTC.text(seconds: record.notAfter))"
                }
            let names = [record.names.spiffeID.description] + record.names.dnsNames
            print(
                "\(CertificateSerial.text(record.serial))  root \(record.root)  \(state)  "
                    + names.joined(separator: " "))
        }
    }
}

extension Certificate {
    /// A line for people.
    var summary: String {
        let names = [name] + dnsNames.filter { $0 != name }
        let from = UTC.text(seconds: notBefore)
        return "\(CertificateSerial.text(serial))  \(from) to \(UTC.text(seconds: notAfter))  "
            + names.joined(separator: " ")
    }
}
