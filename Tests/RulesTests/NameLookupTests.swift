import Rules
import Testing
import Wire

@Suite struct NameLookupTests {
    private typealias Question = NameLookup.Question

    private static let orders = Self.name("orders.internal")

    private static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    /// A response to `question` with records of these types, seconds and data.
    private static func message(
        _ question: String, _ records: [(type: UInt8, ttl: UInt8, data: [UInt8])]
    ) -> NameLookup.Reply {
        let count = [UInt8(records.count >> 8), UInt8(records.count & 0xff)]
        var bytes: [UInt8] = [0, 7, 0x81, 0x80, 0, 1] + count + [0, 0, 0, 0]
        bytes += name(question) + [0, 1, 0, 1]
        for record in records {
            bytes += [0xc0, 0x0c, 0, record.type, 0, 1, 0, 0, 0, record.ttl]
            bytes += [UInt8(record.data.count >> 8), UInt8(record.data.count & 0xff)] + record.data
        }
        guard let message = try? DNSMessage(parsing: bytes) else { return .failed("test") }
        return .message(message)
    }

    private static func addresses(
        _ question: String, _ last: [UInt8], ttl: UInt8 = 30
    ) -> NameLookup.Reply {
        message(question, last.map { (1, ttl, [10, 0, 0, $0]) })
    }

    private static func service(
        _ priority: UInt8, _ weight: UInt8, _ target: String, ttl: UInt8 = 30
    ) -> (type: UInt8, ttl: UInt8, data: [UInt8]) {
        (33, ttl, [0, priority, 0, weight, 0xc3, 0x83] + name(target))
    }

    private static func words(_ lookup: NameLookup) -> String {
        let outcome = lookup.outcome
        let found = outcome.found.map { $0.map(\.terms.description).joined(separator: " ") }
        let failure = outcome.failure.map { " failed: \($0)" } ?? ""
        return (found.map { "[\($0)] for \(outcome.ttl / 1_000_000_000)" } ?? "nothing") + failure
    }

    /// What comes of a lookup whose answers are these, by name and type.
    private static func run(
        _ terms: DNSTerms, earlier: [NameLookup.Found] = [],
        _ answers: [Question: NameLookup.Reply], asked: inout [Question]
    ) -> NameLookup {
        var lookup = NameLookup(terms, earlier: earlier)
        var open = lookup.begin()
        while let question = open.popLast() {
            asked.append(question)
            open += lookup.answered(question, answers[question] ?? .noData)
        }
        #expect(lookup.isOver)
        return lookup
    }

    private static func run(
        _ terms: DNSTerms, earlier: [NameLookup.Found] = [],
        _ answers: [Question: NameLookup.Reply]
    ) -> NameLookup {
        var asked: [Question] = []
        return run(terms, earlier: earlier, answers, asked: &asked)
    }

    private static let plain = DNSTerms(name: "orders.internal", port: 50_051, kind: .both)
    private static let a = Question(name: "orders.internal", type: .ipv4)
    private static let aaaa = Question(name: "orders.internal", type: .ipv6)
    private static let six: NameLookup.Reply = message(
        "orders.internal", [(28, 20, [UInt8](repeating: 0, count: 15) + [1])])

    @Test("both families are joined, sorted, for the shorter time")
    func families() {
        let four = Self.addresses("orders.internal", [9, 7, 9])
        let both = Self.run(Self.plain, [Self.a: four, Self.aaaa: Self.six])
        #expect(Self.words(both) == "[10.0.0.7:50051 10.0.0.9:50051 [::1]:50051] for 20")
        var only = Self.plain
        only.kind = .ipv4
        #expect(
            Self.words(Self.run(only, [Self.a: four, Self.aaaa: Self.six]))
                == "[10.0.0.7:50051 10.0.0.9:50051] for 30")
        #expect(Self.words(Self.run(Self.plain, [:])) == "[] for 0")
        #expect(
            Self.words(Self.run(Self.plain, [Self.a: .noName, Self.aaaa: .noName]))
                == "nothing failed: there is no such name")
    }

    @Test("a question that fails takes nothing away while the other brings news")
    func failures() throws {
        let four = Self.addresses("orders.internal", [7])
        let before = Self.run(Self.plain, [Self.a: four, Self.aaaa: Self.six])
        let earlier = try #require(before.outcome.found)
        let partial = Self.run(
            Self.plain, earlier: earlier,
            [Self.a: Self.addresses("orders.internal", [8]), Self.aaaa: .failed("late")])
        #expect(
            Self.words(partial)
                == "[10.0.0.8:50051 [::1]:50051] for 30 failed: late (orders.internal)")
        let none = Self.run(
            Self.plain, earlier: earlier, [Self.a: .failed("late"), Self.aaaa: .noData])
        #expect(Self.words(none) == "nothing failed: late (orders.internal)")
    }

    @Test("of an SRV answer the lowest priority counts, and the next where that has no address")
    func priorities() {
        let terms = DNSTerms(name: "orders.internal", port: 0, kind: .service)
        let service = Question(name: "orders.internal", type: .service)
        let services = Self.message(
            "orders.internal",
            [Self.service(2, 1, "spare.x"), Self.service(1, 30, "a.x"), Self.service(1, 10, "b.x")])
        func a(_ name: String) -> Question { Question(name: name, type: .ipv4) }
        var asked: [Question] = []
        let first = Self.run(
            terms,
            [
                service: services, a("a.x."): Self.addresses("a.x", [1], ttl: 9),
                a("b.x."): Self.addresses("b.x", [2]),
            ], asked: &asked)
        #expect(
            Self.words(first)
                == "[10.0.0.1:50051 (weight 1000) 10.0.0.2:50051 (weight 333)] for 9")
        #expect(!asked.contains(a("spare.x.")) && asked.count == 5)
        let second = Self.run(
            terms, [service: services, a("spare.x."): Self.addresses("spare.x", [3])],
            asked: &asked)
        #expect(Self.words(second) == "[10.0.0.3:50051] for 30")
        #expect(Self.words(Self.run(terms, [service: services])) == "[] for 30")
        #expect(
            Self.words(Self.run(terms, [service: .noName]))
                == "nothing failed: there is no such name")
        #expect(
            Self.words(Self.run(terms, [service: .failed("late")])) == "nothing failed: late")
        let nowhere = Self.message("orders.internal", [(33, 5, [0, 0, 0, 0, 0, 0, 0])])
        #expect(Self.words(Self.run(terms, [service: nowhere])) == "[] for 5")
    }

    @Test("a target's weight is shared by its addresses, and none is 0")
    func weights() {
        let terms = DNSTerms(name: "orders.internal", port: 0, kind: .service)
        let services = Self.message(
            "orders.internal", [Self.service(0, 20, "a.x"), Self.service(0, 0, "b.x")])
        let lookup = Self.run(
            terms,
            [
                Question(name: "orders.internal", type: .service): services,
                Question(name: "a.x.", type: .ipv4): Self.addresses("a.x", [1, 2]),
                Question(name: "b.x.", type: .ipv4): Self.addresses("b.x", [3]),
            ])
        #expect(
            Self.words(lookup)
                == "[10.0.0.1:50051 (weight 1000) 10.0.0.2:50051 (weight 1000) "
                + "10.0.0.3:50051 (weight 100)] for 30")
    }

    @Test("of too many addresses the same ones are taken every time")
    func bounds() throws {
        var only = Self.plain
        only.kind = .ipv4
        func reply(_ order: [Int]) -> NameLookup.Reply {
            Self.message(
                "orders.internal", order.map { (1, 30, [10, 0, UInt8($0 >> 8), UInt8($0 & 255)]) })
        }
        let order = Array(0..<1_500)
        let one = Self.run(only, [Self.a: reply(order)]).outcome
        let other = Self.run(only, [Self.a: reply(order.reversed())]).outcome
        #expect(one.found == other.found && one.omitted == 500)
        #expect(one.found?.count == NameLookup.endpointsMax)
    }
}
