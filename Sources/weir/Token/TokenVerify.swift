internal import ArgumentParser
internal import Identity
internal import Wire

/// `weir token verify`: would this token be accepted?
struct TokenVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Says whether a token is valid, and why not.",
        discussion: """
            Prints the claims of a valid token. Exit status: 0 valid, 1 refused, 2 a file could \
            not be read.
            """)

    @Option(help: "The issuer's key set: JWKS.")
    var keys: String?

    @Option(help: "The secret that HS256, HS384 and HS512 are checked with, instead of --keys.")
    var secret: String?

    @Option(help: "What iss must be.")
    var issuer: String

    @Option(help: "One of them must be in aud; may be repeated.")
    var audience: [String]

    @Option(help: "How it may be signed; may be repeated. Default: all that keys or secret allow.")
    var algorithm: [AlgorithmName] = []

    @Option(name: .customLong("token-file"), help: "Where the token is; '-' is standard input.")
    var tokenFile = "-"

    @Option(help: "The difference of clocks that is allowed, at most 60s.")
    var skew = Seconds(30)

    @Option(help: "How long it may be valid.")
    var maxLifetime: Seconds?

    @Option(help: "The trust domain whose SPIFFE IDs the issuer speaks for.")
    var trustDomain: String?

    @Option(help: "The caller's certificate: its SHA-256, 64 hexadecimal digits.")
    var certificate: String?

    func validate() throws {
        guard (keys == nil) != (secret == nil) else {
            throw ValidationError("one of --keys and --secret says how to check it")
        }
        guard skew.value <= TokenIssuer.skewMax else {
            throw ValidationError("--skew is at most \(TokenIssuer.skewMax)s")
        }
        guard
            secret == nil
                ? algorithm.allSatisfy({ !$0.value.isSymmetric })
                : algorithm.allSatisfy(\.value.isSymmetric)
        else {
            throw ValidationError("HS256, HS384 and HS512 go with --secret, others with --keys")
        }
        if let certificate, Hexadecimal.bytes(of: certificate)?.count != 32 {
            throw ValidationError("--certificate takes 64 hexadecimal digits")
        }
    }

    func run() throws {
        let set = try keySet()
        var token = try File(tokenFile).contents(limit: 2 * CompactToken.bytesMax)[...]
        while let last = token.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") {
            token.removeLast()
        }
        let terms = issuerTerms
        switch TokenVerifier([terms]).verify(Array(token).span, keys: [set]) {
        case .unavailable: throw refused("there are no keys")
        case .refused(let reason, _): throw refused(reason.rawValue)
        case .verified(let verified):
            let fingerprint = certificate.flatMap(Hexadecimal.bytes)
            let reason = terms.refusal(
                of: verified, at: WallClock.seconds, fingerprint: fingerprint)
            if let reason { throw refused(reason.rawValue) }
            print(String(decoding: verified.claims.bytes, as: UTF8.self))
        }
    }

    private var issuerTerms: TokenIssuer {
        let usual = secret == nil ? TokenAlgorithm.asymmetric : TokenAlgorithm.symmetric
        var terms = TokenIssuer(
            name: "verify", issuer: issuer, audiences: audience,
            algorithms: algorithm.isEmpty ? usual : algorithm.map(\.value))
        terms.skew = skew.value
        terms.lifetimeMax = maxLifetime?.value
        terms.trustDomain = trustDomain
        return terms
    }

    private func keySet() throws -> KeySet {
        if let secret {
            return KeySet(
                secret: KeySet.secret(
                    in: try File(secret).contents(limit: KeySet.secretBytesMax, isSecret: true)))
        }
        let file = File(keys ?? "")
        let bytes = try file.contents(limit: KeySet.bytesMax)
        do throws(KeySet.ParseError) {
            let set = try KeySet(parsing: bytes, allowsSecrets: false)
            for omission in set.omissions {
                StandardError.write(
                    "\(file.path): key \(omission.index + 1) is left out: \(omission.reason)\n")
            }
            return set
        } catch {
            throw file.cannot(error.description)
        }
    }

    private func refused(_ words: String) -> ExitCode {
        StandardError.write("refused: \(words)\n")
        return .no
    }
}
