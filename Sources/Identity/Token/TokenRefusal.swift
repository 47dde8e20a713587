/// Why a token is not accepted, in words for the log. A caller never sees them.
public enum TokenRefusal: String, Error, Hashable, Sendable, CaseIterable {
    // The header field that carries it.
    case severalFields = "more than one authorization field"
    case severalTokens = "more than one token in the authorization field"

    // Its form.
    case tooLarge = "the token is too long"
    case notCompact = "not three parts with dots between them"
    case headerEncoding = "its header is not base64url in its only spelling"
    case payloadEncoding = "its claims are not base64url in their only spelling"
    case signatureEncoding = "its signature is not base64url in its only spelling"
    case headerJSON = "its header is not one strict JSON object"
    case claimsJSON = "its claims are not one strict JSON object"

    // Its header.
    case algorithmMissing = "its header names no algorithm, or not by a string"
    case algorithmNone = "its algorithm is none"
    case algorithmUnknown = "its algorithm is not one of a signed token"
    case algorithmNotAllowed = "its algorithm is not among those of its issuer"
    case critical = "its header has crit"
    case unencodedPayload = "its header has b64"
    case compressed = "its header has zip"
    case encrypted = "it is encrypted"
    case nested = "its header has cty"
    case embeddedKey = "its header brings a key, or says where to get one"
    case keyIDForm = "its kid is not a string of at most 256 bytes"
    case type = "its typ is not that of an access token"

    // Its key and signature.
    case issuerMissing = "iss is missing or not a string"
    case issuerUnknown = "iss is nobody who is configured"
    case keyUnknown = "no key of its issuer has its kid"
    case keyMissing = "no key of its issuer fits its algorithm"
    case keyAmbiguous = "it has no kid, and too many keys of its issuer fit"
    case keyMismatch = "the key of its kid is not for its algorithm"
    case signature = "its signature is wrong"

    // Its claims.
    case expiryForm = "exp is missing or not a time"
    case timeForm = "nbf or iat is not a time, or out of order"
    case audienceForm = "aud is missing, empty or of the wrong form"
    case subjectForm = "sub is not a string"
    case subjectSPIFFE = "sub is not a SPIFFE ID"
    case subjectForeign = "sub is a SPIFFE ID that its key does not speak for"
    case svidForm = "a token for a SPIFFE ID has an algorithm or header field that it may not have"
    case claimRequired = "a required claim is missing"
    case lifetime = "it lives longer than its issuer may grant"
    case confirmationForm = "cnf names nothing that can be checked"
    case confirmationMissing = "cnf with a certificate's digest is required"

    // The moment and the connection.
    case expired = "it has expired"
    case notYetValid = "it is not valid yet"
    case audience = "it is for another audience"
    case certificateMissing = "it is bound to a certificate, and the caller has none"
    case certificateOther = "it is bound to another certificate"
}

extension TokenRefusal: CustomStringConvertible {
    public var description: String { rawValue }

    /// True where keys that are newer might say otherwise.
    public var isForWantOfKey: Bool { self == .keyUnknown || self == .keyMissing }
}
