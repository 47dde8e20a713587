internal import ArgumentParser
internal import Control
internal import Identity

/// `weir ca revoke`: takes a certificate back.
struct CARevoke: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revokes a certificate, and makes new revocation lists (crl.pem).")

    @OptionGroup var directory: AuthorityOption
    @OptionGroup var lists: ListLifetimeOption

    @Option(help: "The certificate, PEM.")
    var certificate: String?

    @Option(help: "Its serial number instead, in hexadecimal.")
    var serial: String?

    func validate() throws {
        guard (certificate == nil) != (serial == nil) else {
            throw ValidationError("one of --certificate FILE and --serial NUMBER says which")
        }
    }

    func run() throws {
        try reporting {
            let number = try serialNumber()
            let opened = try directory.open()
            let text = CertificateSerial.text(number)
            let isNew = try about(text) { () throws(CertificateError) in
                try opened.authority.revoke(serial: number, at: AtomicFile.secondsNow())
            }
            try opened.publish(listLifetime: lists.lifetime.seconds)
            print(isNew ? "revoked \(text)" : "\(text) was revoked before")
        }
    }

    private func serialNumber() throws(CommandFailure) -> [UInt8] {
        if let serial {
            guard let number = CertificateSerial.parse(serial) else {
                throw CommandFailure(serial, "is no serial number", .no)
            }
            return number
        }
        let path = certificate ?? ""
        let pem = try readFile(path)
        return try about(path) { () throws(CertificateError) in
            try Certificate.list(pem: pem)[0].serial
        }
    }
}
