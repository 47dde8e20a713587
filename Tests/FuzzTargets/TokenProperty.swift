internal import Identity
internal import Wire

/// Only a token that the issuer's key has signed is verified, and it says what its claims say.
///
/// The first byte chooses: the rest is a token as it came (nobody else can sign); header and claims
/// with a NUL between, which are then signed well; or changes to a token that was good.
enum TokenProperty {
    private static let key = SigningKey(generating: .ed25519)
    private static let issuer = "https://login.example"
    private static let now: Int64 = 1_800_000_000
    private static let keys: KeySet? = {
        guard let jwk = key?.publicParts?.jwk(.init(keyID: "k")) else { return nil }
        return try? KeySet(parsing: KeySet.text(of: [jwk]), allowsSecrets: false)
    }()
    private static let verifier: TokenVerifier = {
        var terms = TokenIssuer(
            name: "login", issuer: issuer, audiences: ["orders"], algorithms: [.edDSA])
        terms.trustDomain = "mesh.example"
        terms.lifetimeMax = 3_600
        return TokenVerifier([terms])
    }()
    private static let good: [UInt8] = {
        let claims =
            #"{"iss":"\#(issuer)","sub":"alice","aud":["orders","x"],"exp":\#(now + 300),"#
            + #""iat":\#(now),"scope":"orders.read"}"#
        return signed(Array(#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#.utf8), Array(claims.utf8))
    }()

    static func fault(_ bytes: [UInt8]) -> String? {
        guard keys != nil else { return "there is no key" }
        let (mode, rest) = bytes.split()
        switch mode % 3 {
        case 0:
            return verified(rest) == nil ? nil : "nobody has signed it"
        case 1:
            let parts = rest.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            return claimsFault(Array(parts[0]), Array(parts[1]))
        default:
            guard verified(good) != nil else { return "a good token is refused" }
            let changed = changed(good, by: rest)
            return changed == good || verified(changed) == nil ? nil : "it was changed"
        }
    }

    private static func verified(_ token: [UInt8]) -> VerifiedToken? {
        guard case .verified(let token) = verifier.verify(token.span, keys: [keys]) else {
            return nil
        }
        return token
    }

    private static func signed(_ header: [UInt8], _ claims: [UInt8]) -> [UInt8] {
        var token: [UInt8] = []
        Base64URL.encode(header.span, into: &token)
        token.append(UInt8(ascii: "."))
        Base64URL.encode(claims.span, into: &token)
        let signature = key?.sign(token, .edDSA) ?? []
        token.append(UInt8(ascii: "."))
        Base64URL.encode(signature.span, into: &token)
        return token
    }

    // MARK: Signed well

    private static func claimsFault(_ header: [UInt8], _ claims: [UInt8]) -> String? {
        guard let token = verified(signed(header, claims)) else { return nil }
        guard let head = try? JSONParser.parse(header.span), head["alg"] == .string("EdDSA"),
            head["crit"] == nil, head["jwk"] == nil, head["zip"] == nil
        else { return "its header says something else" }
        guard let said = try? JSONParser.parse(claims.span), said == token.claims,
            said["iss"] == .string(issuer)
        else { return "its claims are others" }
        if case .string(let subject) = said["sub"], token.subject != subject {
            return "its subject is another"
        }
        if let id = token.spiffeID,
            id.description != token.subject || id.trustDomain != "mesh.example"
        {
            return "its subject is no ID that its key may speak for"
        }
        return timeFault(token)
    }

    /// Whether it holds at a moment is asked in two ways.
    private static func timeFault(_ token: VerifiedToken) -> String? {
        let terms = verifier.issuers[0]
        let window = terms.window(of: token)
        let edges = [
            token.expiresAt, token.expiresAt &- 3_600, token.notBefore ?? 0, token.issuedAt ?? 0,
            now,
        ]
        for edge in edges {
            let times = [edge &- 31, edge &- 30, edge &- 29, edge, edge &+ 29, edge &+ 30]
            // No clock stands before 1970.
            for time in times where time >= 0 {
                let refusal = terms.refusal(of: token, at: time, fingerprint: token.certificate)
                guard (refusal == nil) == window.contains(time) else {
                    return "at \(time) it is \(refusal.map { "\($0)" } ?? "good"), of \(window)"
                }
            }
        }
        return nil
    }

    // MARK: Changed

    /// Three bytes for each change: where, and what is put there.
    private static func changed(_ token: [UInt8], by changes: [UInt8]) -> [UInt8] {
        var token = token
        var index = 0
        while index + 2 < changes.count, !token.isEmpty {
            let place = Int(changes[index]) << 8 | Int(changes[index + 1])
            let byte = changes[index + 2]
            switch place >> 14 {
            case 0: token[place % token.count] ^= byte
            case 1: token.insert(byte, at: place % token.count)
            case 2: token.remove(at: place % token.count)
            default: token.removeLast(min(token.count, Int(byte)))
            }
            index += 3
        }
        return token
    }
}
