import Testing

@testable import Wire

@Suite struct HealthMessageTests {
    @Test(
        "a question names its service, whatever its length",
        arguments: [0, 1, 127, 128, 300, 1_000]
    )
    func questions(length: Int) {
        let service = [UInt8](repeating: UInt8(ascii: "s"), count: length)
        #expect(HealthMessage.service(HealthMessage.request(service)) == service)
    }

    @Test(
        "an answer says its status",
        arguments: [HealthMessage.Status.serving, .notServing, .serviceUnknown])
    func answers(status: HealthMessage.Status) {
        #expect(HealthMessage.status(HealthMessage.response(status)) == status)
    }

    @Test(
        "what is no single, uncompressed answer with a known status says nothing",
        arguments: [
            [], [0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 8, 0], [0, 0, 0, 0, 2, 8, 4],
            [1, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 3, 8, 1], [0, 0, 0, 0, 2, 8, 1, 0],
            [0, 0, 0, 0, 3, 8, 129, 2], [0, 255, 255, 255, 255, 8, 1], [0, 0, 0, 0, 1, 8],
            [0, 0, 0, 0, 2, 10, 1],
        ] as [[UInt8]])
    func nonsense(body: [UInt8]) {
        #expect(HealthMessage.status(body) == nil)
    }

    @Test("fields that are not known do not matter, and of a field given twice the last counts")
    func otherFields() {
        #expect(HealthMessage.status([0, 0, 0, 0, 6, 18, 0, 8, 2, 8, 1]) == .serving)
    }
}
