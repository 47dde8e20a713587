internal import Rules

/// Route tables: what a listener's patterns say together.
extension SnapshotBuilder {
    /// The table of the listener at `index`, whose patterns are given up; an empty one after
    /// problems, which are reported.
    func makeTable(_ index: Int) -> RouteTable {
        let patterns = listeners[index].patterns
        listeners[index].patterns = []
        let problems = RouteTable.problems(in: patterns)
        for problem in problems { report(problem, patterns, listeners[index]) }
        guard problems.isEmpty else { return RouteTable() }
        do {
            return try RouteTable(patterns: patterns)
        } catch {
            report(error, patterns, listeners[index])
            return RouteTable()
        }
    }

    private func report(
        _ problem: RouteProblem, _ patterns: [RoutePattern], _ listener: ListenerDraft
    ) {
        let place = listener.places[problem.pattern]
        // A route of several listeners has the same problem in each.
        guard reportedPlaces.insert(place).inserted else { return }
        guard case .sameAs(let other) = problem.kind else {
            checker.fail(
                problem.isLimit ? .tooMany : .neverMatches, place,
                "this match \(problem.description)",
                expected: problem.isLimit ? "fewer or shorter ones" : "one that some request meets")
            return
        }
        let first = checker.tree.place(listener.places[other])
        checker.fail(
            .identicalMatches, place,
            "this match of route '\(patterns[problem.pattern].routeName)' is the same as that of "
                + "'\(patterns[other].routeName)' at \(first), so it could never be taken",
            expected: "another match, or one route less")
    }
}
