internal import ArgumentParser
internal import Identity

/// `weir token`: tokens and the keys that sign them.
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Makes and verifies signed tokens (JWT), and their keys.",
        subcommands: [TokenMint.self, TokenVerify.self, TokenKeys.self])
}

/// An algorithm as an argument.
struct AlgorithmName: ExpressibleByArgument {
    let value: TokenAlgorithm

    init?(argument: String) {
        guard let value = TokenAlgorithm(exactly: argument) else { return nil }
        self.value = value
    }

    static var allValueStrings: [String] { TokenAlgorithm.allCases.map(\.rawValue) }
}

/// A time as an argument, `90s 5m 1h 30d`.
struct Seconds: ExpressibleByArgument {
    let value: Int64

    init(_ value: Int64) { self.value = value }

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        let digits = argument.dropLast()
        guard let last = argument.last, let unit = units[last], (1...6).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(digits)
        else { return nil }
        value = number * unit
    }

    var defaultValueDescription: String { value % 60 == 0 ? "\(value / 60)m" : "\(value)s" }
}

extension File {
    /// Its bytes, or the end of the command with the reason.
    func contents(limit: Int, isSecret: Bool = false) throws -> [UInt8] {
        do throws(File.Failure) {
            return try read(limit: limit, isSecret: isSecret)
        } catch {
            throw cannot(error.words)
        }
    }

    /// Says why the file is of no use; for `throw`.
    func cannot(_ words: String) -> ExitCode {
        StandardError.write("\(path): \(words)\n")
        return .cannot
    }

    func signingKey() throws -> SigningKey {
        guard
            let key = SigningKey(
                pem: try contents(limit: SigningKey.pemBytesMax, isSecret: true))
        else {
            throw cannot(
                "no private key in PEM without a passphrase (EC P-256, P-384 or P-521, "
                    + "Ed25519, or RSA of \(SigningKey.rsaBitsMin) bits or more)")
        }
        return key
    }
}
