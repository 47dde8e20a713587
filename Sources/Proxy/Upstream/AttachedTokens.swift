public import Configuration

/// The tokens of Weir's own that are valid now, handed to every worker whenever there are newer
/// ones.
public final class AttachedTokens: Sendable {
    public struct Entry: Sendable {
        /// With its scheme, as the field says it.
        public let value: [UInt8]
        /// Seconds since 1970.
        public let expiresAt: Int64

        public init(token: [UInt8], expiresAt: Int64) {
            value = Array("Bearer ".utf8) + token
            self.expiresAt = expiresAt
        }
    }

    public static let none = AttachedTokens([:])

    public let minted: [AttachedToken.Minting: Entry]

    public init(_ minted: [AttachedToken.Minting: Entry]) { self.minted = minted }

    /// Nil where it could not be made.
    func entry(of token: AttachedToken) -> Entry? {
        switch token {
        // Whether it is still valid is for those to say who read it.
        case .fixed(let token): Entry(token: token, expiresAt: .max)
        case .minted(let minting): minted[minting]
        }
    }
}
