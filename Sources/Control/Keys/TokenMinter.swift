internal import Configuration
internal import Identity
internal import Proxy
internal import Wire

/// Makes the tokens that requests to upstreams carry, each again at half its life. Performs no
/// I/O; the control thread alone uses it. Times are seconds since 1970, as tokens have them: a
/// clock that steps makes new ones.
struct TokenMinter {
    private struct Minted {
        let entry: AttachedTokens.Entry
        let madeAt: Int64
        /// In the middle of its life, less a part that differs: workers and processes that were
        /// started together do not all sign at once.
        let renewAt: Int64
    }

    /// After a signature that could not be made.
    private static let retrySeconds: Int64 = 1
    private static let clockSkew: Int64 = 5

    private var wanted: [AttachedToken.Minting] = []
    private var minted: [AttachedToken.Minting: Minted] = [:]
    private var retryAt: Int64 = 0

    /// The tokens of another configuration; what both attach is kept.
    mutating func want(_ mintings: [AttachedToken.Minting]) {
        var seen: Set<AttachedToken.Minting> = []
        wanted = mintings.filter { seen.insert($0).inserted }
        minted = minted.filter { seen.contains($0.key) }
        retryAt = 0
    }

    /// Makes what is due. Gives the tokens to hand to workers, if there are new ones, and lines
    /// for the log.
    ///
    /// - chance: any number, for the jitter.
    mutating func turn(at now: Int64, chance: UInt64) -> (tokens: AttachedTokens?, words: [String])
    {
        var words: [String] = []
        var isChanged = false
        for minting in wanted where isDue(minting, at: now) {
            guard let token = Self.mint(minting, at: now) else {
                retryAt = now + Self.retrySeconds
                words.append("no token made issuer=\(minting.issuer) audience=\(minting.audience)")
                continue
            }
            let half = max(1, minting.lifetime / 2)
            let early = Int64(chance % UInt64(half / 5 + 1))
            minted[minting] = Minted(
                entry: AttachedTokens.Entry(token: token, expiresAt: now + minting.lifetime),
                madeAt: now, renewAt: now + half - early)
            isChanged = true
        }
        return (isChanged ? tokens : nil, words)
    }

    var tokens: AttachedTokens { AttachedTokens(minted.mapValues(\.entry)) }

    /// How long at most until `turn` has something to do; nil is for ever. Looked at often enough
    /// that a clock which stepped is noticed.
    func seconds(from now: Int64) -> Int64? {
        guard !wanted.isEmpty else { return nil }
        let next = wanted.map { minted[$0]?.renewAt ?? retryAt }.min() ?? now
        return min(max(0, next - now), Self.clockSkew)
    }

    private func isDue(_ minting: AttachedToken.Minting, at now: Int64) -> Bool {
        guard let known = minted[minting] else { return now >= retryAt }
        if now < known.madeAt - Self.clockSkew { return true }
        return now >= known.renewAt && now >= retryAt
    }

    private static func mint(_ minting: AttachedToken.Minting, at now: Int64) -> [UInt8]? {
        minting.signer.mint(
            .object([
                .init(name: "iss", value: .string(minting.issuer)),
                .init(name: "sub", value: .string(minting.subject)),
                .init(name: "aud", value: .string(minting.audience)),
                .init(name: "iat", value: .integer(now)),
                .init(name: "exp", value: .integer(now + minting.lifetime)),
            ]))
    }
}
