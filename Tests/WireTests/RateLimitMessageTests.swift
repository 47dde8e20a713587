import Testing

@testable import Wire

@Suite struct RateLimitMessageTests {
    private typealias Message = RateLimitMessage

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [0, 0, 0, 0, UInt8(message.count)] + message
    }

    private static func entry(_ key: String, _ value: String) -> Message.Entry {
        Message.Entry(key: Array(key.utf8), value: Array(value.utf8))
    }

    @Test("a request is a domain and one descriptor with all entries")
    func request() {
        let bytes = Message.request(
            domain: [0x77], [Self.entry("a", "bc"), Self.entry("d", "")])
        let first: [UInt8] = [0x0a, 7, 0x0a, 1, 0x61, 0x12, 2, 0x62, 0x63]
        let second: [UInt8] = [0x0a, 5, 0x0a, 1, 0x64, 0x12, 0]
        let descriptor: [UInt8] = [0x12, 16] + first + second
        #expect(bytes == Self.framed([0x0a, 1, 0x77] + descriptor))
    }

    @Test("lengths above 127 take two bytes")
    func longRequest() {
        let value = [UInt8](repeating: 0x78, count: 300)
        let bytes = Message.request(domain: [], [Message.Entry(key: [], value: value)])
        #expect(Array(bytes.suffix(303)) == [0x12, 0xac, 0x02] + value)
    }

    private static let responses: [(message: [UInt8], Message.Response?)] = [
        ([8, 1], Message.Response(code: .ok)), ([8, 2], Message.Response(code: .overLimit)),
        // Nothing, unknown, and codes of tomorrow say neither yes nor no.
        ([], nil), ([8, 0], nil), ([8, 3], nil),
        // A descriptor that is over its limit, for 1.5 s; one that is not says nothing.
        (
            [8, 2, 0x12, 12, 8, 2, 0x22, 8, 8, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 1],
            Message.Response(code: .overLimit, wait: 1_500_000_000)
        ),
        ([8, 1, 0x12, 6, 8, 1, 0x22, 2, 8, 9], Message.Response(code: .ok)),
        // Longer than a day, and before now.
        (
            [8, 2, 0x12, 9, 8, 2, 0x22, 5, 8, 0xff, 0xff, 0xff, 0x7f],
            Message.Response(code: .overLimit, wait: 86_400_000_000_000)
        ),
        (
            [8, 2, 0x12, 15, 8, 2, 0x22, 11, 8]
                + [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            Message.Response(code: .overLimit)
        ),
        // Fields for the response and for the request, one with a raw value.
        (
            [8, 1, 0x1a, 6, 0x0a, 1, 0x61, 0x12, 1, 0x62, 0x22, 6, 0x0a, 1, 0x63, 0x1a, 1, 0xff],
            Message.Response(
                code: .ok, responseFields: [entry("a", "b")],
                requestFields: [Message.Entry(key: [0x63], value: [0xff])])
        ),
        // Cut off.
        ([8, 1, 0x1a, 6, 0x0a], nil), ([8, 1, 0x12, 2, 0x22, 5], nil), ([8], nil),
    ]

    @Test("an answer is read, or is none", arguments: responses.indices)
    func response(index: Int) {
        let (message, expected) = Self.responses[index]
        #expect(Message.response(Self.framed(message)) == expected)
    }

    @Test("an answer that is compressed, too long or not alone is none")
    func framing() {
        #expect(Message.response([]) == nil)
        #expect(Message.response([1, 0, 0, 0, 2, 8, 1]) == nil)
        #expect(Message.response([0, 0, 0, 0, 3, 8, 1]) == nil)
        #expect(Message.response([0, 0, 0, 0, 2, 8, 1, 0]) == nil)
        let long = [UInt8](repeating: 0, count: Message.responseBytesMax + 1)
        #expect(Message.response(long) == nil)
    }

    @Test("no more fields are taken than a bound")
    func manyFields() {
        let field: [UInt8] = [0x1a, 3, 0x0a, 1, 0x61]
        let message: [UInt8] = [8, 1] + [[UInt8]](repeating: field, count: 20).joined()
        #expect(Message.response(Self.framed(message))?.responseFields.count == 16)
    }
}
