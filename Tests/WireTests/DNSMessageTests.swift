import Testing
import Wire

@Suite struct DNSMessageTests {
    private static let orders = Self.name("orders.internal")
    /// To the name that was asked for.
    private static let pointer: [UInt8] = [0xc0, 0x0c]

    private static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private static func record(
        _ owner: [UInt8], _ type: UInt8, _ ttl: [UInt8], _ data: [UInt8]
    ) -> [UInt8] {
        owner + [0, type, 0, 1] + ttl + [UInt8(data.count >> 8), UInt8(data.count & 0xff)] + data
    }

    private static func message(
        _ records: [[UInt8]], flags: [UInt8] = [0x81, 0x80], count: Int? = nil
    ) -> [UInt8] {
        let count = count ?? records.count
        let counts = [0, 1, UInt8(count >> 8), UInt8(count & 0xff), 0, 0, 0, 0]
        return [0, 7] + flags + counts + orders + [0, 1, 0, 1] + records.flatMap { $0 }
    }

    /// What a message says, or why it is none.
    private static func read(_ bytes: [UInt8]) -> String {
        do throws(DNSMessage.ParseError) {
            let message = try DNSMessage(parsing: bytes)
            let answer = message.answer
            let words = answer.contents.map { content in
                switch content {
                case .ipv4(let address): "\(SocketAddress.ipv4(address: address, port: 0))"
                case .ipv6(let high, let low):
                    "\(SocketAddress.ipv6(high: high, low: low, port: 0))"
                case .alias: "alias"
                case .service(let service):
                    "\(service.priority) \(service.weight) \(service.port) "
                        + (service.target.text ?? "-")
                }
            }
            let flags = message.isTruncated ? " truncated" : ""
            let ttl = words.isEmpty ? "" : " for \(answer.ttl)"
            return "\(message.code)\(flags): " + words.joined(separator: ", ") + ttl
        } catch {
            return "\(error)"
        }
    }

    @Test("addresses, aliases and services are read with the shortest time of all of them")
    func answers() {
        let (pointer, two) = (Self.pointer, Self.name("two.internal"))
        let one = Self.record(pointer, 1, [0, 0, 0, 30], [10, 0, 0, 7])
        #expect(Self.read(Self.message([])) == "0: ")
        #expect(Self.read(Self.message([], flags: [0x81, 0x83])) == "3: ")
        #expect(Self.read(Self.message([], flags: [0x83, 0x80])) == "0 truncated: ")
        #expect(Self.read(Self.message([one])) == "0: 10.0.0.7:0 for 30")
        let other = Self.record(Self.name("ORDERS.Internal"), 1, [0, 0, 0, 9], [10, 0, 0, 8])
        #expect(Self.read(Self.message([one, other])) == "0: 10.0.0.7:0, 10.0.0.8:0 for 9")
        let six = Self.record(pointer, 28, [0, 0, 1, 0], [UInt8](repeating: 0, count: 15) + [1])
        #expect(Self.read(Self.message([six])) == "0: [::1]:0 for 256")
        let alias = Self.record(pointer, 5, [0, 0, 0, 5], two)
        let far = Self.record(two, 1, [0, 0, 0, 60], [10, 0, 0, 9])
        #expect(Self.read(Self.message([alias, far])) == "0: 10.0.0.9:0 for 5")
        #expect(Self.read(Self.message([far])) == "0: ")
        let service = Self.record(
            pointer, 33, [0, 0, 0, 15], [0, 1, 0, 20, 0xc3, 0x83, 3] + "two".utf8 + [0xc0, 0x13])
        #expect(Self.read(Self.message([service])) == "0: 1 20 50051 two.internal for 15")
        let nowhere = Self.record(pointer, 33, [0, 0, 0, 15], [0, 0, 0, 0, 0, 0, 0])
        #expect(Self.read(Self.message([nowhere])) == "0: 0 0 0 - for 15")
        let text = Self.record(pointer, 16, [0, 0, 0, 1], [3, 1, 2, 3])
        #expect(Self.read(Self.message([text, one])) == "0: 10.0.0.7:0 for 30")
        let sign = Self.record(pointer, 1, [0x80, 0, 0, 1], [10, 0, 0, 7])
        #expect(Self.read(Self.message([sign])) == "0: 10.0.0.7:0 for 0")
    }

    @Test("aliases that go round in circles end")
    func circle() {
        let two = Self.name("two.internal")
        let records = [
            Self.record(Self.pointer, 5, [0, 0, 0, 5], two),
            Self.record(two, 5, [0, 0, 0, 5], Self.pointer),
        ]
        #expect(Self.read(Self.message(records)) == "0: ")
    }

    @Test("what does not add up is refused")
    func refusals() {
        // Where the first record begins.
        let first = UInt8(12 + Self.orders.count + 4)
        func owned(_ owner: [UInt8]) -> String {
            Self.read(Self.message([Self.record(owner, 1, [0, 0, 0, 1], [1, 2, 3, 4])]))
        }
        #expect(owned([0xc0, first]) == "malformed")
        #expect(owned([0xc0, first + 1]) == "malformed")
        #expect(owned([1, 0x61, 0xc0, first]) == "malformed")
        #expect(owned([0xff, 0xff]) == "malformed")
        #expect(owned([0x40]) == "malformed")
        #expect(owned([0x80]) == "malformed")
        let long = (0..<4).flatMap { _ in [63] + [UInt8](repeating: 0x61, count: 63) }
        #expect(owned(long + [0]) == "malformed")
        for (type, data) in [(1, [1, 2, 3]), (28, [1]), (33, [0, 0, 0, 0, 0, 0]), (5, [0, 0])] {
            let record = Self.record(
                Self.pointer, UInt8(type), [0, 0, 0, 1], data.map { UInt8($0) })
            #expect(Self.read(Self.message([record])) == "malformed", "\(type)")
        }
        #expect(Self.read(Self.message([], flags: [0x01, 0])) == "noResponse")
        #expect(Self.read(Self.message([], count: 5_000)) == "tooManyRecords")
        #expect(Self.read(Self.message([], count: 1)) == "cutShort")
        #expect(Self.read([]) == "cutShort")
        let zeros = [UInt8](repeating: 0, count: DNSMessage.bytesMax + 1)
        #expect(Self.read(zeros) == "tooLarge")
    }

    @Test("a message that is cut anywhere is none")
    func cuts() {
        let whole = Self.message([
            Self.record(Self.pointer, 1, [0, 0, 0, 30], [10, 0, 0, 7]),
            Self.record(Self.pointer, 5, [0, 0, 0, 5], Self.name("two.internal")),
        ])
        for length in whole.indices {
            #expect(Self.read(Array(whole.prefix(length))) == "cutShort", "\(length)")
        }
    }

    @Test("a chain of pointers as long as a name may be ends")
    func chain() {
        var records = [Self.record([1, 0x61] + Self.pointer, 1, [0, 0, 0, 1], [1, 2, 3, 4])]
        var offset = 12 + Self.orders.count + 4
        for _ in 0..<115 {
            let pointer = [UInt8(0xc0 | offset >> 8), UInt8(offset & 0xff)]
            offset += records[records.count - 1].count
            records.append(Self.record([1, 0x61] + pointer, 1, [0, 0, 0, 1], [1, 2, 3, 4]))
        }
        #expect(Self.read(Self.message(records)) == "0: ")
        let pointer = [UInt8(0xc0 | offset >> 8), UInt8(offset & 0xff)]
        let more: [UInt8] = [3, 0x61, 0x61, 0x61, 3, 0x61, 0x61, 0x61]
        records.append(Self.record(more + pointer, 1, [0, 0, 0, 1], [1, 2, 3, 4]))
        #expect(Self.read(Self.message(records)) == "malformed")
    }

    @Test(
        "names are letters, digits, - and _ in labels",
        arguments: [
            ("orders.internal", "orders.internal"), ("Orders.Internal.", "orders.internal"),
            ("_grpc._tcp.a", "_grpc._tcp.a"), ("a", "a"), ("", nil), (".", nil), ("a..b", nil),
            (".a", nil), ("a b", nil), ("a..", nil), ("ä", nil),
            (String(repeating: "a", count: 63), String(repeating: "a", count: 63)),
            (String(repeating: "a", count: 64), nil),
            (Array(repeating: "abcdefg", count: 32).joined(separator: "."), nil),
        ] as [(String, String?)])
    func names(_ text: String, _ expected: String?) {
        #expect(DNSName(parsing: text)?.text == expected)
    }
}
