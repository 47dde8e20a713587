/// What is known of a request's token.
public enum TokenState: Sendable {
    /// The request carries none.
    case none
    /// Everything was checked, for this moment and this connection.
    case valid(VerifiedToken)
    case invalid(TokenRefusal)
    /// Nobody can tell: the issuer's keys are not at hand.
    case unavailable
}
