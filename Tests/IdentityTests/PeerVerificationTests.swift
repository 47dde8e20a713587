import Identity
import Testing

@Suite("What peers send")
struct PeerVerificationTests {
    @Test(
        "that is no certificate is refused",
        arguments: [
            ([], "no_certificate"), ([[]], "unreadable"), ([[1, 2, 3]], "unreadable"),
            ([[0x30, 0x80, 0, 0]], "unreadable"),
            ([[UInt8](repeating: 0x30, count: Certificate.bytesMax + 1)], "too_large"),
            (Array(repeating: [1], count: PeerVerification.chainMax + 1), "too_large"),
        ] as [([[UInt8]], String)])
    func refuses(chain: [[UInt8]], reason: String) {
        let result = PeerVerification.verify(
            chain: chain, bundles: [], purpose: .client, at: 1_800_000_000)
        guard case .failure(let refusal) = result else {
            Issue.record("it was let in")
            return
        }
        #expect(refusal.reason == reason)
    }
}
