import Configuration
import Identity
import Testing
import Wire

@testable import Proxy

@Suite("The cache of verified tokens")
struct TokenCacheTests {
    /// An arena that bytes to look for stand in.
    private final class Bytes {
        let pool = BlockPool()
        var arena = HeaderArena()

        func view(_ text: String) throws -> ByteView {
            let kept = arena.keep(Array(text.utf8).span, from: pool)
            return try #require(kept)
        }

        deinit { arena.releaseAll(to: pool) }
    }

    static func entry(
        _ text: String, claims: String = #"{"iss":"i","aud":"a","exp":2000000000}"#,
        headers: [(String, String)] = [], forwards: Bool = false
    ) throws -> CachedToken {
        let issuer = TokenIssuer(name: "n", issuer: "i", audiences: ["a"], algorithms: [.es256])
        var terms = TokenIssuerTerms(issuer, .fixed(KeySet(secret: [])))
        terms.forwards = forwards
        terms.headers = headers.map { .init(claim: $0, name: Array($1.utf8)) }
        let claims = try TokenClaims(parsing: Array(claims.utf8))
        return CachedToken(Array(text.utf8), VerifiedToken(claims, by: issuer, at: 0), by: terms)
    }

    @Test("finds a token by all of its bytes")
    func finds() throws {
        let (cache, bytes) = (TokenCache(key: 1), Bytes())
        let one = try Self.entry("aaaa.bbbb.cccccccccccccccc")
        let stored = cache.insert(one)
        #expect(cache.find(try bytes.view("aaaa.bbbb.cccccccccccccccc")) == stored)
        for other in ["aaaa.bbbb.cccccccccccccccd", "aaaa.bbbb.ccccccccccccccc", "", "aaaa.bbbb."] {
            #expect(cache.find(try bytes.view(other)) == nil)
        }
        cache.removeAll()
        #expect(cache.find(try bytes.view("aaaa.bbbb.cccccccccccccccc")) == nil)
        #expect(cache.count == 0)
    }

    @Test("holds so many tokens and bytes, and lets go of what was not used for longest")
    func bounds() throws {
        let (cache, bytes) = (TokenCache(key: 2), Bytes())
        let kept = cache.insert(try Self.entry("kept"))
        for index in 0..<20_000 {
            _ = cache.insert(try Self.entry("token \(index)"))
            // Used all the time, it stays whatever comes.
            #expect(cache.find(try bytes.view("kept")) == kept)
        }
        #expect(cache.count <= TokenCache.ways * TokenCache.sets)
        #expect(cache.count > TokenCache.ways * TokenCache.sets / 2)
        #expect(cache.find(try bytes.view("token 19999")) != nil)
        #expect(cache.find(try bytes.view("token 0")) == nil)
        let long = String(repeating: "x", count: 16_000)
        for index in 0..<400 { _ = cache.insert(try Self.entry("\(index)" + long)) }
        #expect(cache.byteCount <= TokenCache.bytesMax)
        cache.removeAll()
        #expect(cache.count == 0)
    }

    @Test("a connection's memory of its last token ends when any token goes")
    func memo() throws {
        let (cache, bytes) = (TokenCache(key: 3), Bytes())
        var memo = TokenMemo()
        let view = try bytes.view("one")
        #expect(memo.find(view, in: cache) == nil)
        let one = cache.insert(try Self.entry("one"))
        memo.remember(one, in: cache)
        #expect(memo.find(view, in: cache) == one)
        #expect(memo.find(try bytes.view("two"), in: cache) == nil)
        _ = cache.insert(try Self.entry("two"))
        #expect(memo.find(view, in: cache) == one)
        cache.removeAll()
        #expect(memo.find(view, in: cache) == nil)
        _ = cache.insert(try Self.entry("one"))
        #expect(memo.find(view, in: cache) == nil)
    }

    @Test(
        "claims become fields where these can say them",
        arguments: [
            (#""alice""#, "alice"), ("7", "7"), ("true", "true"), (#"["a","b",1]"#, "a,b,1"),
            (#"["a,b"]"#, nil), (#""é""#, nil), (#""a\r\nx: y""#, nil), (#""\u0000""#, nil),
            ("1.5", nil), ("null", nil), ("{}", nil), (#"" a""#, nil), (#"[["a"]]"#, nil),
            (#""""#, ""),
        ] as [(String, String?)])
    func fields(value: String, text: String?) throws {
        let claims = #"{"iss":"i","aud":"a","exp":2000000000,"c":\#(value),"o":{"c":\#(value)}}"#
        let entry = try Self.entry(
            "t", claims: claims, headers: [("c", "x-jwt-c"), ("o.c", "x-jwt-o"), ("no", "x-jwt-n")])
        let expected = text.map { ["x-jwt-c: \($0)", "x-jwt-o: \($0)"] } ?? []
        #expect(
            entry.headers.map {
                String(decoding: $0.name + Array(": ".utf8) + $0.value, as: UTF8.self)
            } == expected)
    }

    @Test("a claim's own name goes before names inside each other")
    func dottedClaims() throws {
        let claims = #"""
            {"iss":"i","aud":"a","exp":2000000000,"https://a.b/c":"url","x":{"y":"in"},"x.y":"own"}
            """#
        let entry = try Self.entry(
            "t", claims: claims, headers: [("https://a.b/c", "x-jwt-c"), ("x.y", "x-jwt-x")])
        #expect(entry.headers.map { String(decoding: $0.value, as: UTF8.self) } == ["url", "own"])
    }
}

@Suite("Wrong signatures")
struct SignatureFaultsTests {
    private static let second: Int64 = 1_000_000_000

    @Test("are looked at so often from one source, and again as time passes")
    func bucket() {
        var faults = SignatureFaults(key: 1)
        let source = SocketAddress.ipv4(address: 1, port: 1)
        for _ in 0..<SignatureFaults.burst {
            #expect(faults.allows(source, at: 0))
            faults.count(source, at: 0)
        }
        #expect(!faults.allows(source, at: 0))
        // Another port is the same source, another address is not, a unix socket is none.
        #expect(!faults.allows(.ipv4(address: 1, port: 2), at: 0))
        #expect(faults.allows(.ipv4(address: 2, port: 1), at: 0))
        #expect(faults.allows(.unix(path: "/a"), at: 0))
        #expect(!faults.allows(source, at: SignatureFaults.refill - 1))
        #expect(faults.allows(source, at: SignatureFaults.refill))
        faults.count(source, at: SignatureFaults.refill)
        #expect(!faults.allows(source, at: SignatureFaults.refill))
        #expect(faults.allows(source, at: 3_600 * Self.second))
    }

    @Test("from one IPv6 network are from one source")
    func networks() {
        var faults = SignatureFaults(key: 1)
        for low in 0..<UInt64(SignatureFaults.burst) {
            faults.count(.ipv6(high: 7, low: low, port: 1), at: 0)
        }
        #expect(!faults.allows(.ipv6(high: 7, low: .max, port: 1), at: 0))
        #expect(faults.allows(.ipv6(high: 8, low: 0, port: 1), at: 0))
    }
}

@Suite("Fields with tokens")
struct BearerTests {
    @Test(
        "name their scheme in any case",
        arguments: [
            ("Bearer a.b.c", "a.b.c"), ("bearer a", "a"), ("BEARER  a", "a"), ("bEaReR a=", "a="),
            ("Bearer a b", "a b"), ("Bearer  ", ""), ("Basic abc", nil), ("Bearer", nil),
            ("Bearer ", nil), ("", nil), ("Bearera.b.c", nil), ("Bearer\ta", nil), ("a.b.c", nil),
            ("Bear er a", nil), ("Basica b", nil), ("\u{42}earer\0a", nil),
        ] as [(String, String?)])
    func bearer(text: String, expected: String?) throws {
        let pool = BlockPool()
        var arena = HeaderArena()
        defer { arena.releaseAll(to: pool) }
        let kept = arena.keep(Array(text.utf8).span, from: pool)
        let view = try #require(kept)
        #expect(view.bearerToken?.text == expected)
    }
}

@Suite("Names of keys that nobody has")
struct KeySourceStateTests {
    @Test("are known as unknown once a good fetch did not bring them, for a minute")
    func unknown() throws {
        var state = KeySourceState()
        let name = Array("k".utf8)
        state.willAsk(for: name)
        #expect(!state.isUnknown(name, at: 0))
        var entry = TokenKeys.Entry()
        state.fetched(entry, at: 0)
        #expect(!state.isUnknown(name, at: 0))
        state.willAsk(for: name)
        entry.set = try KeySet(parsing: Array(#"{"keys":[]}"#.utf8), allowsSecrets: false)
        entry.isFresh = true
        state.fetched(entry, at: 0)
        #expect(state.isUnknown(name, at: KeySourceState.unknownNanoseconds - 1))
        #expect(!state.isUnknown(name, at: KeySourceState.unknownNanoseconds))
        #expect(!state.isUnknown(Array("other".utf8), at: 0))
    }

    @Test("are kept in a bounded number")
    func bounds() throws {
        var state = KeySourceState()
        var entry = TokenKeys.Entry()
        entry.set = try KeySet(parsing: Array(#"{"keys":[]}"#.utf8), allowsSecrets: false)
        entry.isFresh = true
        for round in 0..<100 {
            for index in 0..<1_000 { state.willAsk(for: Array("\(round) \(index)".utf8)) }
            state.fetched(entry, at: 0)
            #expect(state.unknownCount <= KeySourceState.unknownMax)
        }
    }
}
