public import ArgumentParser
internal import Control
public import Identity

/// `--authority DIRECTORY`.
struct AuthorityOption: ParsableArguments {
    @Option(name: .customLong("authority"), help: "The authority's directory.")
    var path = "ca"

    func open() throws(CommandFailure) -> AuthorityDirectory { try AuthorityDirectory(path) }
}

/// Where a certificate and its key are.
struct IdentityFiles: ParsableArguments {
    @Option(help: "The file for the certificate and those between it and the root, PEM.")
    var certificate: String

    @Option(
        help: """
            The file for its private key, PEM; the same as --certificate puts both into one file, \
            which changes in one step.
            """)
    var privateKey: String

    /// Both files, the key's first: who reads in between finds a key that does not fit, keeps what
    /// it has and looks again.
    func write(_ chain: [Certificate], _ key: PrivateKey) throws(CommandFailure) {
        let pem = AuthorityDirectory.pem(chain)
        if certificate == privateKey {
            try writeFile(pem + key.pem, certificate, .secret)
        } else {
            try writeFile(key.pem, privateKey, .secret)
            try writeFile(pem, certificate, .open)
        }
    }
}

/// Revocation lists' life.
struct ListLifetimeOption: ParsableArguments {
    @Option(
        name: .customLong("list-lifetime"),
        help: "How long revocation lists count; with none that does, peers refuse everybody.")
    var lifetime = Lifetime(seconds: 30 * 86_400)
}

/// A whole number and one of `s m h d`.
struct Lifetime: ExpressibleByArgument, CustomStringConvertible {
    /// Twenty years.
    static let secondsMax: Int64 = 20 * 365 * 86_400
    private static let units: [(suffix: Character, seconds: Int64)] = [
        ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1),
    ]

    let seconds: Int64

    init(seconds: Int64) { self.seconds = seconds }

    init?(argument: String) {
        guard let last = argument.last, let unit = Self.units.first(where: { $0.suffix == last }),
            argument.dropLast().allSatisfy({ ("0"..."9").contains($0) }),
            let count = Int64(argument.dropLast())
        else { return nil }
        let (seconds, overflowed) = count.multipliedReportingOverflow(by: unit.seconds)
        guard !overflowed, (1...Self.secondsMax).contains(seconds) else { return nil }
        self.seconds = seconds
    }

    var description: String {
        let unit = Self.units.first { seconds % $0.seconds == 0 } ?? ("s", 1)
        return "\(seconds / unit.seconds)\(unit.suffix)"
    }

    var defaultValueDescription: String { description }
}

extension PrivateKey.Kind: ExpressibleByArgument {}
extension SPIFFEID: ExpressibleByArgument {
    public init?(argument: String) {
        guard let id = try? SPIFFEID(argument) else { return nil }
        self = id
    }
}
