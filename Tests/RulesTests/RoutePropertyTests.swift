import Rules
import Testing

/// Random routes and requests from few words, so that they often meet.
@Suite struct RoutePropertyTests {
    @Test("the table answers as trying every pattern does")
    func agreesWithTryingAll() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        var found = 0
        for round in 0..<300 {
            let patterns = (0..<Int.random(in: 1...40, using: &random)).map { index in
                Self.pattern(index, &random)
            }
            let table = try RouteTable(patterns: patterns)
            let naive = NaiveRoutes(patterns: patterns)
            for _ in 0..<50 {
                let request = Self.request(&random)
                let route = table.match(
                    authority: request.authority.utf8.span, httpMethod: request.method.utf8.span,
                    path: request.path.utf8.span, fields: request)?.route
                #expect(
                    route == naive.route(request), "seed \(seed), round \(round), \(request)")
                if route != nil { found += 1 }
                let considered = table.explain(
                    authority: request.authority.utf8.span, httpMethod: request.method.utf8.span,
                    path: request.path.utf8.span, fields: request)
                #expect(considered.first { $0.outcome == .chosen }?.route == route, "seed \(seed)")
            }
        }
        #expect(found > 5_000, "seed \(seed): too few requests found a route to show anything")
    }

    @Test("of the listed entries the first that covers a request is the one taken")
    func listing() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        for round in 0..<100 {
            let patterns = (0..<Int.random(in: 1...40, using: &random)).map { index in
                Self.pattern(index, &random)
            }
            let table = try RouteTable(patterns: patterns)
            let listed = table.entries.map(\.route)
            #expect(listed.sorted() == Array(patterns.indices), "seed \(seed), round \(round)")
            for _ in 0..<50 {
                let request = Self.request(&random)
                let match = table.match(
                    authority: request.authority.utf8.span, httpMethod: request.method.utf8.span,
                    path: request.path.utf8.span, fields: request)
                let first = listed.first { route in
                    NaiveRoutes(patterns: [patterns[route]]).route(request) != nil
                }
                #expect(match?.route == first, "seed \(seed), round \(round), \(request)")
            }
        }
    }

    private static func pattern(_ index: Int, _ random: inout SplitMix) -> RoutePattern {
        let name = String(UnicodeScalar(UInt8(ascii: "0") + UInt8(index)))
        var pattern = RoutePattern(route: index, routeName: name)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: break
        case 1: pattern.host = .exact(Array(host(&random).utf8))
        default: pattern.host = .wildcard(suffix: Array(".\(host(&random))".utf8))
        }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: break
        case 1: pattern.path = .exact(Array(path(&random).utf8))
        case 2: pattern.path = .prefix(Array("\(path(&random))/".utf8))
        case 3: pattern.path = .prefix(Array("\(path(&random)).".utf8))
        default: pattern.path = .prefix(Array(path(&random).utf8))
        }
        if Int.random(in: 0..<4, using: &random) == 0 { pattern.httpMethod = Array("GET".utf8) }
        for _ in 0..<max(0, Int.random(in: -3...2, using: &random)) {
            pattern.headers.append(.make(word(&random), predicate(&random)))
        }
        for _ in 0..<max(0, Int.random(in: -3...2, using: &random)) {
            pattern.query.append(.make(word(&random), predicate(&random)))
        }
        return pattern
    }

    private static func request(_ random: inout SplitMix) -> Request {
        var request = Request()
        request.authority = host(&random)
        if Bool.random(using: &random) { request.authority = "b.\(request.authority)" }
        if Int.random(in: 0..<4, using: &random) == 0 { request.authority += "." }
        if Int.random(in: 0..<3, using: &random) == 0 { request.authority += ":8443" }
        if Int.random(in: 0..<4, using: &random) == 0 { request.authority.uppercase() }
        request.method = Bool.random(using: &random) ? "GET" : "POST"
        request.path = path(&random) + (Bool.random(using: &random) ? "/" : "")
        let pairs = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            Bool.random(using: &random) ? "\(word(&random))=\(word(&random))" : word(&random)
        }
        if !pairs.isEmpty { request.path += "?" + pairs.joined(separator: "&") }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            request = request.with(word(&random), word(&random) + word(&random))
        }
        return request
    }

    private static func word(_ random: inout SplitMix) -> String {
        ["a", "b", "c"].randomElement(using: &random) ?? "a"
    }

    private static func host(_ random: inout SplitMix) -> String {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
            Int.random(in: 0..<3, using: &random) > 0 ? "a" : "b"
        }.joined(separator: ".")
    }

    private static func path(_ random: inout SplitMix) -> String {
        (0..<Int.random(in: 1...4, using: &random)).map { index in
            let separator = index > 0 && Bool.random(using: &random) ? "." : "/"
            return separator + (Int.random(in: 0..<4, using: &random) > 0 ? "a" : "b")
        }.joined()
    }

    private static func predicate(_ random: inout SplitMix) -> StringPredicate {
        let text = Array(word(&random).utf8)
        return switch Int.random(in: 0..<6, using: &random) {
        case 0: .exact(text + text)
        case 1: .prefix(text)
        case 2: .suffix(text)
        case 3: .contains(text)
        case 4: .present
        default: .absent
        }
    }
}

extension String {
    fileprivate mutating func uppercase() { self = uppercased() }
}

/// A generator of random numbers that can be started again from a printed seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
