internal import ArgumentParser
internal import Identity
internal import Wire

/// `weir token keys`: what tokens are signed with, and the set that they are verified with.
struct TokenKeys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Makes, shows and rotates the keys of tokens.",
        subcommands: [TokenKeysNew.self, TokenKeysShow.self, TokenKeysRotate.self])
}

/// A kind of key as an argument.
enum KeyType: String, CaseIterable, ExpressibleByArgument {
    case p256 = "P-256"
    case p384 = "P-384"
    case p521 = "P-521"
    case ed25519 = "Ed25519"
    case rsa = "RSA"

    var kind: KeyKind {
        switch self {
        case .p256: .p256
        case .p384: .p384
        case .p521: .p521
        case .ed25519: .ed25519
        case .rsa: .rsa
        }
    }

    /// A new key and its PEM.
    func generate() throws -> (key: SigningKey, pem: [UInt8]) {
        guard let key = SigningKey(generating: kind), let pem = key.pem else {
            StandardError.write("cannot make a key\n")
            throw ExitCode.cannot
        }
        return (key, pem)
    }
}

/// What a key set says of a key, as arguments.
struct KeyLabels: ParsableArguments {
    @Option(help: "The only algorithm that the key is for. Default: as usual for its kind.")
    var algorithm: AlgorithmName?

    @Option(name: .customLong("spiffe-id"), help: "The only subject that the key speaks for.")
    var spiffeID: String?

    func validate() throws {
        guard let spiffeID else { return }
        guard (try? SPIFFEID(spiffeID)) != nil else {
            throw ValidationError("'\(spiffeID)' is not a SPIFFE ID")
        }
    }

    func jwk(of key: PublicKeyParts) throws -> JSONValue {
        if let algorithm = algorithm?.value, !key.kind.fits(algorithm) {
            StandardError.write("a key of this kind is not for \(algorithm.rawValue)\n")
            throw ExitCode.cannot
        }
        let id = try spiffeID.map { try SPIFFEID($0) }
        return key.jwk(.init(algorithm: algorithm?.value, spiffeID: id))
    }
}

/// `weir token keys new`.
struct TokenKeysNew: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Makes a private key, and prints its public half as a JWKS.",
        discussion: "Exit status: 0 made, 2 the file cannot be written, or is there already.")

    @Option(help: "The kind of key.")
    var type = KeyType.p256

    @Option(help: "Where the private key goes: PEM, readable by its owner alone.")
    var out: String

    @OptionGroup var labels: KeyLabels

    func run() throws {
        let file = File(out)
        if file.exists { throw file.cannot("is there already, and is not overwritten") }
        let (key, pem) = try type.generate()
        guard let parts = key.publicParts else { throw file.cannot("cannot be made") }
        let jwk = try labels.jwk(of: parts)
        do throws(File.Failure) { try file.replace(with: pem, isSecret: true) } catch {
            throw file.cannot(error.words)
        }
        print(String(decoding: KeySet.text(of: [jwk]), as: UTF8.self))
    }
}

/// `weir token keys show`.
struct TokenKeysShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Prints the JWKS of keys in PEM files, public or private.",
        discussion: "Exit status: 0 printed, 2 a file is unreadable or holds no key for tokens.")

    @Argument(help: "PEM files; the first key of each counts.")
    var files: [String]

    @OptionGroup var labels: KeyLabels

    func run() throws {
        let keys = try files.map { path in
            let file = File(path)
            let pem = try file.contents(limit: SigningKey.pemBytesMax)
            guard let parts = PublicKeyParts(pem: pem) else {
                throw file.cannot("no key for tokens in PEM")
            }
            return try labels.jwk(of: parts)
        }
        print(String(decoding: KeySet.text(of: keys), as: UTF8.self))
    }
}
