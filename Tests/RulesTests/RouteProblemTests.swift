import Rules
import Testing
import Wire

@Suite struct RouteProblemTests {
    @Test("patterns that match the same are found whatever the order of their conditions")
    func same() throws {
        var first = RoutePattern.make("a", host: "a.example", prefix: "/v1")
        first.headers = [.make("x", .present), .make("y", .exact([1]))]
        var second = RoutePattern.make("b", host: "A.example", prefix: "/v1/")
        second.headers = [.make("Y", .exact([1])), .make("x", .present), .make("x", .present)]
        var third = second
        third.headers[0].predicate = .exact([2])
        let problems = RouteTable.problems(in: [first, .make("any"), second, third, .make("all")])
        #expect(
            problems == [
                .init(pattern: 2, kind: .sameAs(pattern: 0)),
                .init(pattern: 4, kind: .sameAs(pattern: 1)),
            ])
        #expect(problems.first?.description == "matches the same requests as pattern 0")
        #expect(problems.filter(\.isLimit).isEmpty)
    }

    @Test("patterns that differ in one thing are not the same")
    func different() throws {
        let base = RoutePattern.make("a", path: "/a")
        var method = base
        method.httpMethod = Array("GET".utf8)
        var header = base
        header.headers = [.make("x", .present)]
        var parameter = base
        parameter.query = [.make("x", .present)]
        var regex = base
        regex.headers = [.make("x", .regex(try RegularExpression(Array("a".utf8))))]
        var exact = base
        exact.headers = [.make("x", .exact(Array("a".utf8)))]
        var prefix = base
        prefix.path = .prefix(Array("/a".utf8))
        #expect(
            RouteTable.problems(in: [base, method, header, parameter, regex, exact, prefix]).isEmpty
        )
        #expect(RouteTable.problems(in: [regex, regex]).map(\.kind) == [.sameAs(pattern: 0)])
    }

    @Test(
        "conditions that exclude each other are found",
        arguments: [
            (.exact([1]), .absent, true), (.present, .absent, true), (.absent, .absent, false),
            (.exact([1]), .exact([2]), true), (.exact([1]), .exact([1]), false),
            (.exact([1, 2]), .prefix([1]), false), (.exact([1, 2]), .prefix([2]), true),
            (.exact([1, 2]), .suffix([2]), false), (.exact([1, 2]), .contains([3]), true),
            (.prefix([1]), .prefix([1, 2]), false), (.prefix([1, 3]), .prefix([1, 2]), true),
            (.suffix([2]), .suffix([1, 2]), false), (.suffix([3, 2]), .suffix([1, 2]), true),
            (.prefix([1]), .suffix([2]), false), (.contains([1]), .contains([2]), false),
            (.present, .exact([1]), false),
        ] as [(StringPredicate, StringPredicate, Bool)])
    func contradictions(a: StringPredicate, b: StringPredicate, isContradiction: Bool) {
        for (first, second) in [(a, b), (b, a)] {
            var onHeaders = RoutePattern.make("a")
            onHeaders.headers = [.make("x", first), .make("y", .present), .make("X", second)]
            var onQuery = RoutePattern.make("b")
            onQuery.query = [.make("x", first), .make("X", .absent), .make("x", second)]
            let kinds = RouteTable.problems(in: [onHeaders, onQuery]).map(\.kind)
            let name = Array("x".utf8)
            let expected: [RouteProblem.Kind] = [
                .contradiction(name: name), .contradiction(name: name),
            ]
            #expect(kinds == (isContradiction ? expected : []))
        }
    }

    @Test("an exact value that a regular expression refuses is a contradiction")
    func regularContradiction() throws {
        var pattern = RoutePattern.make("a")
        let expression = try RegularExpression(Array("a+".utf8))
        pattern.headers = [.make("x", .regex(expression)), .make("x", .exact(Array("ab".utf8)))]
        #expect(RouteTable.problems(in: [pattern]).count == 1)
    }

    @Test(
        "hosts and paths that no request has are found",
        arguments: [
            (.make("a", path: "/a?b"), .pathWithQuery), (.make("a", prefix: "/a?"), .pathWithQuery),
            (.make("a", path: "a"), .impossiblePath(.noLeadingSlash)),
            (.make("a", path: ""), .impossiblePath(.empty)),
            (.make("a", prefix: "/a//"), .impossiblePath(.emptySegment)),
            (.make("a", path: "/a/../b"), .impossiblePath(.dotSegment)),
            (.make("a", prefix: "/a/.."), nil), (.make("a", path: "*"), nil),
            (.make("a", prefix: "/a."), nil), (.make("a", prefix: "/"), nil),
            (.make("a", host: "a.example:80"), .impossibleHost),
            (.make("a", host: "a.example."), .impossibleHost),
            (.make("a", host: "*.*.example"), .impossibleHost),
            (.make("a", host: "*."), .impossibleHost), (.make("a", host: "[::1]"), nil),
            (.make("a", host: "*.example"), nil), (.make("a", host: "a b"), .impossibleHost),
        ] as [(RoutePattern, RouteProblem.Kind?)])
    func impossible(pattern: RoutePattern, kind: RouteProblem.Kind?) throws {
        #expect(RouteTable.problems(in: [pattern]).map(\.kind) == (kind.map { [$0] } ?? []))
        _ = try RouteTable(patterns: [pattern])
    }

    @Test("what goes beyond a limit cannot be compiled, what reaches it can")
    func limits() throws {
        let deep = String(repeating: "/a", count: RouteTable.prefixDepthMax)
        try expectLimit(nil, [.make("a", prefix: deep)])
        try expectLimit(.prefixTooDeep, [.make("a", prefix: deep + "/a")])
        try expectLimit(.prefixTooDeep, [.make("a", prefix: deep + "/a.")])
        try expectLimit(nil, [.make("a", path: deep + deep)])

        let wildcards = (1...RouteTable.wildcardsPerHostMax).map { depth in
            RoutePattern.make("a", host: "*" + String(repeating: ".a", count: depth))
        }
        try expectLimit(nil, wildcards + [.make("a", host: "b.a")])
        try expectLimit(
            .tooManyWildcardsAbove, wildcards + [.make("a", host: "*.b.a.a.a.a.a.a.a.a")])

        let labels = String(repeating: ".a", count: RouteTable.wildcardLabelsMax)
        try expectLimit(nil, [.make("a", host: "*" + labels), .make("a", host: "a.a" + labels)])
        try expectLimit(.wildcardTooDeep, [.make("a", host: "*.a" + labels)])

        let tenants = (0...RouteTable.patternsPerKeyMax).map { number in
            var pattern = RoutePattern.make("a", path: "/a")
            pattern.headers = [.make("tenant", .exact(Array("\(number)".utf8)))]
            return pattern
        }
        try expectLimit(nil, Array(tenants.dropLast()))
        try expectLimit(.tooManyWithSameHostAndPath, tenants)

        var crowded = RoutePattern.make("a")
        crowded.headers = (0..<RouteTable.conditionsMax).map { .make("h\($0)", .present) }
        try expectLimit(nil, [crowded])
        crowded.headers.append(.make("x", .present))
        try expectLimit(.tooManyConditions, [crowded])

        var long = RoutePattern.make("a")
        long.headers = [.make("x", .contains([UInt8](repeating: 1, count: 129)))]
        try expectLimit(.textTooLong, [long])

        let methods = (0...RouteTable.methodsMax).map { number in
            var pattern = RoutePattern.make("a", path: "/\(number)")
            pattern.httpMethod = Array("M\(number)".utf8)
            return pattern
        }
        try expectLimit(nil, Array(methods.dropLast()))
        try expectLimit(.tooManyMethods, methods)
    }

    private func expectLimit(
        _ kind: RouteProblem.Kind?, _ patterns: [RoutePattern],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let problems = RouteTable.problems(in: patterns)
        #expect(problems.map(\.kind) == (kind.map { [$0] } ?? []), sourceLocation: sourceLocation)
        guard kind != nil else {
            _ = try RouteTable(patterns: patterns)
            return
        }
        let error = #expect(throws: RouteProblem.self, sourceLocation: sourceLocation) {
            try RouteTable(patterns: patterns)
        }
        #expect(error == problems.first && error?.isLimit == true, sourceLocation: sourceLocation)
    }
}
