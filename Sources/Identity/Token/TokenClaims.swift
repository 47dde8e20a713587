public import Wire

/// A token's claims (RFC 7519, 4), each in the form that it must have.
public struct TokenClaims: Sendable {
    public static let audiencesMax = 64
    /// The end of the year 9999: sums with times do not overflow.
    public static let timeMax: Int64 = 253_402_300_799

    /// All of them: an object.
    public let all: JSONValue
    public let issuer: String
    public let expiresAt: Int64
    public let notBefore: Int64?
    public let issuedAt: Int64?
    public let audiences: [String]
    public let subject: String?
    /// The subject where it has the form of a SPIFFE ID.
    public let spiffeID: SPIFFEID?
    /// `x5t#S256` of `cnf`, 32 bytes (RFC 8705, 3.1).
    public let certificate: [UInt8]?

    /// - bytes: the payload as JSON.
    public init(parsing bytes: [UInt8]) throws(TokenRefusal) {
        guard let json = try? JSONParser.parse(bytes.span), case .object = json else {
            throw .claimsJSON
        }
        guard case .string(let issuer) = json["iss"], !issuer.isEmpty else { throw .issuerMissing }
        guard let expiresAt = json["exp"].flatMap({ Self.time($0, roundsUp: false) }) else {
            throw .expiryForm
        }
        all = json
        self.issuer = issuer
        self.expiresAt = expiresAt
        notBefore = try Self.optionalTime(json["nbf"], roundsUp: true)
        issuedAt = try Self.optionalTime(json["iat"], roundsUp: false)
        guard notBefore ?? 0 <= expiresAt, issuedAt ?? 0 <= expiresAt else { throw .timeForm }
        audiences = try Self.audiences(json["aud"])
        subject = try Self.subject(json["sub"])
        spiffeID = try Self.spiffeID(subject)
        certificate = try Self.certificate(json["cnf"])
    }

    private static func optionalTime(
        _ value: JSONValue?, roundsUp: Bool
    ) throws(TokenRefusal) -> Int64? {
        guard let value else { return nil }
        guard let time = time(value, roundsUp: roundsUp) else { throw .timeForm }
        return time
    }

    /// A NumericDate (RFC 7519, 2): whole seconds, or with digits behind a point and no exponent.
    private static func time(_ value: JSONValue, roundsUp: Bool) -> Int64? {
        switch value {
        case .integer(let seconds):
            return (0...timeMax).contains(seconds) ? seconds : nil
        case .number(let text):
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                !text.hasPrefix("-"), let seconds = Int64(parts[0]), seconds < timeMax
            else { return nil }
            return roundsUp ? seconds + 1 : seconds
        default: return nil
        }
    }

    private static func audiences(_ value: JSONValue?) throws(TokenRefusal) -> [String] {
        switch value {
        case .string(let text) where !text.isEmpty: return [text]
        case .array(let values) where !values.isEmpty && values.count <= audiencesMax:
            var audiences: [String] = []
            for value in values {
                guard case .string(let text) = value, !text.isEmpty else { throw .audienceForm }
                audiences.append(text)
            }
            return audiences
        default: throw .audienceForm
        }
    }

    private static func subject(_ value: JSONValue?) throws(TokenRefusal) -> String? {
        guard let value else { return nil }
        guard case .string(let text) = value else { throw .subjectForm }
        return text
    }

    /// What begins like a SPIFFE ID must be one, in its own spelling.
    private static func spiffeID(_ subject: String?) throws(TokenRefusal) -> SPIFFEID? {
        guard let subject else { return nil }
        let scheme = subject.utf8.prefix(7).map(\.lowercasedASCII)
        guard scheme.elementsEqual("spiffe:".utf8) else { return nil }
        guard let id = try? SPIFFEID(subject), id.description.hasSameBytes(as: subject) else {
            throw .subjectSPIFFE
        }
        return id
    }

    private static func certificate(_ value: JSONValue?) throws(TokenRefusal) -> [UInt8]? {
        guard let value else { return nil }
        // Bound to a key that only its holder could show (DPoP and others): nothing proves it here.
        guard case .object(let members) = value, members.count == 1,
            case .string(let text) = value["x5t#S256"],
            let digest = Base64URL.decode(text), digest.count == 32
        else { throw .confirmationForm }
        return digest
    }
}
