internal import ArgumentParser
internal import Identity
internal import Wire

/// `weir token mint`: a signed token.
struct TokenMint: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mint", abstract: "Signs a token and prints it.",
        discussion: "Exit status: 0 printed, 2 the key is unreadable or not one for tokens.")

    private static let registered = ["iss", "sub", "aud", "exp", "nbf", "iat", "cnf"]
    private static let claimsMax = 100

    @Option(help: "The private key: PEM, readable by its owner alone.")
    var key: String

    @Option(help: "The key's name in the key set. Default: its thumbprint (RFC 7638).")
    var keyId: String?

    @Option(help: "How to sign. Default: as usual for the kind of key.")
    var algorithm: AlgorithmName?

    @Option(help: "Who signs (iss).")
    var issuer: String

    @Option(help: "Whom the token speaks for (sub).")
    var subject: String

    @Option(help: "Whom the token is for (aud); may be repeated.")
    var audience: [String]

    @Option(help: "How long it is valid: 90s 5m 1h.")
    var lifetime = Seconds(300)

    @Option(name: .customLong("claim"), help: "Another claim, name=text; may be repeated.")
    var claims: [String] = []

    @Option(
        name: .customLong("claim-json"),
        help: "Another claim, name=JSON, as in 'groups=[\"a\"]'; may be repeated.")
    var jsonClaims: [String] = []

    @Option(help: "Bind it to the client certificate with this SHA-256, 64 hexadecimal digits.")
    var certificate: String?

    func validate() throws {
        guard !audience.isEmpty else { throw ValidationError("--audience says whom it is for") }
        guard !issuer.isEmpty, !audience.contains("") else {
            throw ValidationError("--issuer and --audience are not empty")
        }
        _ = try otherClaims()
        _ = try fingerprint()
    }

    func run() throws {
        let file = File(key)
        let signingKey = try file.signingKey()
        guard let signer = TokenSigner(signingKey, algorithm?.value, keyID: keyId) else {
            throw file.cannot("not a key for \(algorithm?.value.rawValue ?? "tokens")")
        }
        let isSVID = subject.utf8.starts(with: "spiffe:".utf8)
        guard !isSVID || signer.algorithm.isOfSVID else {
            StandardError.write(
                "a token for a SPIFFE ID is signed with RS, PS or ES, "
                    + "not with \(signer.algorithm.rawValue)\n")
            throw ExitCode.cannot
        }
        guard let token = signer.mint(.object(try members(at: WallClock.seconds))) else {
            throw file.cannot("cannot sign")
        }
        guard token.count <= CompactToken.bytesMax else {
            StandardError.write("the token has more than \(CompactToken.bytesMax) bytes\n")
            throw ExitCode.cannot
        }
        print(String(decoding: token, as: UTF8.self))
    }

    private func members(at now: Int64) throws -> [JSONValue.Member] {
        let audiences = audience.map { JSONValue.string($0) }
        var members: [JSONValue.Member] = [
            .init(name: "iss", value: .string(issuer)),
            .init(name: "sub", value: .string(subject)),
            .init(name: "aud", value: audiences.count == 1 ? audiences[0] : .array(audiences)),
            .init(name: "iat", value: .integer(now)),
            .init(name: "exp", value: .integer(now + lifetime.value)),
        ]
        if let fingerprint = try fingerprint() {
            let digest = JSONValue.Member(
                name: "x5t#S256", value: .string(Base64URL.text(of: fingerprint)))
            members.append(.init(name: "cnf", value: .object([digest])))
        }
        return members + (try otherClaims())
    }

    private func otherClaims() throws -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        for (text, isJSON) in claims.map({ ($0, false) }) + jsonClaims.map({ ($0, true) }) {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw ValidationError("'\(text)' is no claim: expected name=value")
            }
            let name = String(text[..<equals])
            let value = String(text[text.index(after: equals)...])
            guard !Self.registered.contains(name), !members.contains(where: { $0.name == name })
            else { throw ValidationError("'\(name)' is given otherwise, or twice") }
            if isJSON {
                guard let json = try? JSONParser.parse(value.utf8.span) else {
                    throw ValidationError("'\(value)' is not JSON")
                }
                members.append(.init(name: name, value: json))
            } else {
                members.append(.init(name: name, value: .string(value)))
            }
        }
        guard members.count <= Self.claimsMax else { throw ValidationError("too many claims") }
        return members
    }

    private func fingerprint() throws -> [UInt8]? {
        guard let certificate else { return nil }
        guard let bytes = Hexadecimal.bytes(of: certificate), bytes.count == 32 else {
            throw ValidationError("--certificate takes 64 hexadecimal digits")
        }
        return bytes
    }
}
