import Testing
import Wire

@Suite struct DescriptorSetTests {
    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [number << 3 | 2, UInt8(bytes.count)] + bytes
    }

    private static func text(_ number: UInt8, _ text: String) -> [UInt8] {
        field(number, Array(text.utf8))
    }

    private static func service(_ name: String, _ methods: String...) -> [UInt8] {
        field(6, text(1, name) + methods.flatMap { field(2, text(1, $0) + text(2, ".a.In")) })
    }

    @Test("methods are named with their package and service")
    func methods() throws {
        let orders = Self.service("Orders", "Place", "Get")
        let first = Self.field(1, Self.text(1, "a.proto") + Self.text(2, "orders.v1") + orders)
        let bare = Self.field(1, Self.service("Bare", "Call"))
        // Numbers of other kinds between: a varint, four and eight bytes.
        let others: [UInt8] = [0x50, 0x96, 0x01, 0x5d, 1, 2, 3, 4, 0x61, 1, 2, 3, 4, 5, 6, 7, 8]
        let set = try DescriptorSet(parsing: (first + others + bare).span)
        #expect(set.methods == ["Bare/Call", "orders.v1.Orders/Get", "orders.v1.Orders/Place"])
        #expect(try DescriptorSet(parsing: [UInt8]().span).methods.isEmpty)
    }

    @Test(
        "what is no message is refused",
        arguments: [
            [0x0a], [0x0a, 5, 1], [0x0b], [0x0c], [0x08], [0x0d, 1], [0x09, 1, 2],
            [0x0a, 2, 0x12, 9], [UInt8](repeating: 0x80, count: 11),
            [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] as [[UInt8]])
    func malformed(bytes: [UInt8]) {
        #expect(throws: DescriptorSet.ParseError.malformed) {
            try DescriptorSet(parsing: bytes.span)
        }
    }

    @Test("any bytes are read or refused")
    func random() {
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...60)).map { _ in UInt8.random(in: 0 ... .max) }
            _ = try? DescriptorSet(parsing: bytes.span)
        }
    }
}
