public import Identity

/// An identity that an authority keeps renewed, and where its files are.
public struct RenewedIdentity: Sendable {
    public let name: String
    /// The files' paths.
    public let certificate: String
    public let privateKey: String
    /// The path of the authority's unix socket.
    public let socket: String
    public let current: LocalIdentity
}
