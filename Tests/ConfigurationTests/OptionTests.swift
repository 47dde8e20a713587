import Rules
import Testing

@testable import Configuration

/// The tables of limits and timeouts.
@Suite struct OptionTests {
    private static let head = """
        access: {default: allow}
        routes: [{name: r, backends: [{upstream: u}]}]

        """

    private static func load(listener: String, upstream: String) -> Snapshot? {
        Text.load(
            head + "listeners: [{name: l, address: 127.0.0.1:1, \(listener)}]\n"
                + "upstreams: [{name: u, endpoints: [127.0.0.1:2], \(upstream)}]\n"
        ).snapshot
    }

    /// As it is written; different for each option.
    private static func value<Root>(_ option: Option<Root>, _ number: Int) -> (String, Int64) {
        switch option.unit {
        case .count: ("\(number + 5)", Int64(number + 5))
        case .size: ("\(number + 100)KiB", Int64(number + 100) << 10)
        case .duration: ("\(number + 400)s", Int64(number + 400) * 1_000_000_000)
        }
    }

    /// Every key of a table set to its own value, and what then must be read.
    private static func all<Root>(_ table: [Option<Root>]) -> (text: String, values: [Int64]) {
        let values = table.enumerated().map { value($1, $0) }
        let keys = zip(table, values).map { "\($0.key): \($1.0)" }
        return ("{" + keys.joined(separator: ", ") + "}", values.map(\.1))
    }

    @Test("every option of the four tables reaches its own field")
    func reaches() throws {
        let limits = Self.all(OptionTables.downstreamLimits)
        let timeouts = Self.all(OptionTables.downstreamTimeouts)
        let upstreamLimits = Self.all(OptionTables.upstreamLimits)
        let upstreamTimeouts = Self.all(OptionTables.upstreamTimeouts)
        let snapshot = try #require(
            Self.load(
                listener: "limits: \(limits.text), timeouts: \(timeouts.text)",
                upstream: "limits: \(upstreamLimits.text), timeouts: \(upstreamTimeouts.text)"))
        let listener = snapshot.listeners[0]
        let upstream = snapshot.upstreams[0]
        #expect(OptionTables.downstreamLimits.map { $0.read(listener.limits) } == limits.values)
        #expect(
            OptionTables.downstreamTimeouts.map { $0.read(listener.timeouts) } == timeouts.values)
        #expect(
            OptionTables.upstreamLimits.map { $0.read(upstream.limits) } == upstreamLimits.values)
        #expect(
            OptionTables.upstreamTimeouts.map { $0.read(upstream.timeouts) }
                == upstreamTimeouts.values)
    }

    @Test("without options the defaults of Rules hold")
    func defaults() throws {
        let snapshot = try #require(Self.load(listener: "limits: {}", upstream: "timeouts: {}"))
        #expect(snapshot.listeners[0].limits == DownstreamLimits())
        #expect(snapshot.listeners[0].timeouts == DownstreamTimeouts())
        #expect(snapshot.upstreams[0].limits == UpstreamLimits())
        #expect(snapshot.upstreams[0].timeouts == UpstreamTimeouts())
    }

    @Test("every field of Rules' limits has an option")
    func complete() {
        #expect(
            Mirror(reflecting: DownstreamLimits()).children.count
                == OptionTables.downstreamLimits.count)
        #expect(
            Mirror(reflecting: DownstreamTimeouts()).children.count
                == OptionTables.downstreamTimeouts.count)
        #expect(
            Mirror(reflecting: UpstreamLimits()).children.count == OptionTables.upstreamLimits.count
        )
        #expect(
            Mirror(reflecting: UpstreamTimeouts()).children.count
                == OptionTables.upstreamTimeouts.count)
    }

    @Test("every default is within its own bounds")
    func bounds() {
        func check<Root>(_ table: [Option<Root>]) {
            for option in table {
                let value = option.read(Root())
                var isOff = false
                if case .duration(offAllowed: true) = option.unit { isOff = value == 0 }
                #expect(option.range.contains(value) || isOff, "\(option.key)")
            }
        }
        check(OptionTables.downstreamLimits)
        check(OptionTables.downstreamTimeouts)
        check(OptionTables.upstreamLimits)
        check(OptionTables.upstreamTimeouts)
    }

    @Test("docs/configuration.md has every table word for word")
    func documentation() {
        let page = Repository.text("docs/configuration.md")
        for (name, table) in LanguageReference.tables {
            #expect(page.contains("### \(name)\n"), "a heading for \(name)")
            #expect(page.contains(table), "the table of \(name):\n\(table)")
        }
    }

    @Test(
        "durations and sizes are read and written",
        arguments: [
            ("1ms", 1_000_000), ("250ms", 250_000_000), ("2s", 2_000_000_000),
            ("90s", 90_000_000_000),
            ("5m", 300_000_000_000), ("1h", 3_600_000_000_000),
        ] as [(String, Int64)])
    func durations(_ text: String, _ nanoseconds: Int64) {
        #expect(Duration.parse(Array(text.utf8)[...]) == nanoseconds)
        #expect(Duration.describe(nanoseconds) == text)
    }

    @Test(
        "what is no duration is none",
        arguments: [
            "", "s", "1", "01s", "1 s", "-1s", "1S", "1.5s", "1d", "1us", "0x1s", "1s1s", "١s",
            "9223372036854775807h", "99999999999999999999s",
        ])
    func noDuration(_ text: String) { #expect(Duration.parse(Array(text.utf8)[...]) == nil) }
}
