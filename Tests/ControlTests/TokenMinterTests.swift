import Configuration
import Identity
import Proxy
import Testing

@testable import Control

@Suite("Tokens that Weir attaches")
struct TokenMinterTests {
    private static let minting = SigningKey(generating: .p256).flatMap { TokenSigner($0) }.map {
        AttachedToken.Minting(
            issuer: "i", subject: "s", audience: "a", lifetime: 300, signer: $0)
    }

    /// The one token that is attached, by its expiry.
    private static func expiry(_ tokens: AttachedTokens?) -> Int64? {
        tokens?.minted.values.first?.expiresAt
    }

    @Test("are there at once, and again at half their life or a little before")
    func renewal() throws {
        let minting = try #require(Self.minting)
        var minter = TokenMinter()
        minter.want([minting])
        #expect(minter.seconds(from: 1_000) == 0)
        #expect(Self.expiry(minter.turn(at: 1_000, chance: 0).tokens) == 1_300)
        for now: Int64 in [1_000, 1_001, 1_149] {
            #expect(minter.turn(at: now, chance: 0).tokens == nil)
        }
        #expect(Self.expiry(minter.turn(at: 1_150, chance: 30).tokens) == 1_450)
        // The second was made with jitter: 30 s before half its life.
        #expect(minter.turn(at: 1_269, chance: 0).tokens == nil)
        #expect(Self.expiry(minter.turn(at: 1_270, chance: 0).tokens) == 1_570)
    }

    @Test("are made anew when the clock has stepped, and it is looked at often")
    func steps() throws {
        let minting = try #require(Self.minting)
        var minter = TokenMinter()
        minter.want([minting])
        _ = minter.turn(at: 1_000, chance: 0)
        #expect(minter.seconds(from: 1_000) == 5)
        #expect(Self.expiry(minter.turn(at: 9_000, chance: 0).tokens) == 9_300)
        #expect(minter.turn(at: 8_996, chance: 0).tokens == nil)
        #expect(Self.expiry(minter.turn(at: 2_000, chance: 0).tokens) == 2_300)
    }

    @Test("stay through a reload that still wants them, and go with one that does not")
    func reload() throws {
        let minting = try #require(Self.minting)
        var minter = TokenMinter()
        minter.want([minting])
        _ = minter.turn(at: 1_000, chance: 0)
        minter.want([minting, minting])
        #expect(minter.turn(at: 1_001, chance: 0).tokens == nil)
        #expect(minter.tokens.minted.count == 1)
        minter.want([])
        #expect(minter.tokens.minted.isEmpty && minter.seconds(from: 1_000) == nil)
    }
}
