import Testing

@testable import Proxy

@Suite("A client's identity")
struct IdentityLifetimeTests {
    private static let second: Int64 = 1_000_000_000
    private var lifetime = IdentityLifetime()

    private mutating func prove(until expiresAt: Int64, grace: Int64 = 30 * second) {
        lifetime.proven(until: expiresAt, grace: grace, now: 0, unixNow: 1_000)
    }

    @Test("ends when its certificate has expired, and is cut after its grace")
    mutating func expiry() {
        prove(until: 1_010)
        #expect(lifetime.deadline == 10 * Self.second)
        #expect(lifetime.expired(now: 9 * Self.second, unixNow: 1_009) == .none)
        #expect(lifetime.expired(now: 10 * Self.second, unixNow: 1_010) == .none)
        #expect(!lifetime.hasEnded)
        #expect(lifetime.expired(now: 11 * Self.second, unixNow: 1_011) == .end)
        #expect(lifetime.hasEnded)
        #expect(lifetime.expired(now: 40 * Self.second, unixNow: 1_040) == .none)
        #expect(lifetime.expired(now: 41 * Self.second, unixNow: 1_041) == .cut)
        #expect(lifetime.deadline == .max)
    }

    @Test("is looked at now and then, as clocks step")
    mutating func steps() {
        prove(until: 1_000_000)
        #expect(lifetime.deadline == IdentityLifetime.lookNanoseconds)
        let now = lifetime.deadline
        #expect(lifetime.expired(now: now, unixNow: 2_000_000) == .end)
    }

    @Test("that is revoked ends at once, once")
    mutating func revocation() {
        prove(until: 1_000_000, grace: 0)
        #expect(lifetime.revoke(now: 5) == .end)
        #expect(lifetime.revoke(now: 6) == .none)
        #expect(lifetime.deadline == .max)
    }

    @Test("that was never proven does not end")
    mutating func unproven() {
        #expect(lifetime.revoke(now: 5) == .none)
        #expect(lifetime.expired(now: .max - 1, unixNow: .max) == .none)
    }

    @Test("with a date beyond all bounds is looked at all the same")
    mutating func extremes() {
        prove(until: .max)
        #expect(lifetime.deadline == IdentityLifetime.lookNanoseconds)
        lifetime.proven(until: .min, grace: 0, now: 7, unixNow: 1_000)
        #expect(lifetime.expired(now: lifetime.deadline, unixNow: 1_000) == .end)
    }
}
