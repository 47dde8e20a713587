internal import Rules
internal import Wire

/// What routes match.
extension SnapshotBuilder {
    static let conditionsMax = 32

    /// One match of a route, hosts aside.
    struct MatchDraft {
        let node: NodeID
        var path: PathPattern = .any
        var httpMethod: [UInt8]?
        var headers: [HeaderCondition] = []
        var query: [QueryCondition] = []
        /// It names gRPC methods.
        var isMethod = false
    }

    /// One that matches everything where the route has no `matches`.
    func readMatches(_ fields: Fields<RouteKey>) -> [MatchDraft] {
        guard let node = fields[.matches] else { return [MatchDraft(node: fields.node)] }
        let items = checker.items(node, "matches", 1...Self.matchesMax)
        let matches = items.compactMap(readMatch)
        let methods = matches.count(where: \.isMethod)
        if methods > 0, methods < matches.count {
            checker.fail(
                .conflict, node, "some matches of this route name gRPC methods, others do not",
                expected: "a route for each kind: gRPC routes answer anything else with 415")
        }
        return matches
    }

    private func readMatch(_ node: NodeID) -> MatchDraft? {
        guard let fields = checker.fields(node, MatchKey.self) else { return nil }
        var match = MatchDraft(node: node)
        var isWhole = true
        if let value = fields[.method] {
            match.isMethod = true
            if let path = readMethod(value) { match.path = path } else { isWhole = false }
            checkMethodMatch(fields)
        } else if let value = fields[.path] {
            if let path = readPath(value) { match.path = path } else { isWhole = false }
        }
        if let value = fields[.httpMethod] { match.httpMethod = readHTTPMethod(value) }
        if let value = fields[.headers] { match.headers = readHeaders(value) }
        if let value = fields[.query] { match.query = readQuery(value) }
        return isWhole ? match : nil
    }

    private func checkMethodMatch(_ fields: Fields<MatchKey>) {
        if let path = fields[.path] {
            checker.fail(
                .conflict, path, "this match has both a method and a path",
                expected: "one of method and path")
        }
        if let query = fields[.query] {
            checker.fail(
                .neverMatches, query, "a gRPC call has no query", expected: "path instead of method"
            )
        }
        if let verb = fields[.httpMethod], !checker.tree.bytes(verb).elementsEqual("POST".utf8) {
            checker.fail(
                .neverMatches, verb, "every gRPC call is a POST", expected: "no http_method")
        }
    }

    /// `pkg.Svc/M`, `pkg.Svc/*`, `pkg.*` or `{service, method}`.
    func readMethod(_ node: NodeID) -> PathPattern? {
        if checker.tree.kind(node) == .mapping {
            guard let fields = checker.fields(node, MethodKey.self), let service = fields[.service],
                let name = checker.bytes(service, "a service")
            else { return nil }
            var method: ArraySlice<UInt8> = [0x2a]
            if let value = fields[.method] {
                guard let bytes = checker.bytes(value, "a method") else { return nil }
                method = bytes
            }
            return methodPattern(node, name, method)
        }
        guard let text = checker.bytes(node, "a method") else { return nil }
        if let slash = text.lastIndex(of: 0x2f) {
            return methodPattern(node, text[..<slash], text[(slash + 1)...])
        }
        let package = [0x2f] + text.dropLast()
        if text.suffix(2).elementsEqual([0x2e, 0x2a]), (package + [0x30, 0x2f, 0x4d]).isGRPCPath {
            return .prefix(package)
        }
        failMethod(
            node,
            suggestion: ([0x2f] + text + [0x2f, 0x4d]).isGRPCPath
                ? checker.tree.string(node) + "/*" : nil)
        return nil
    }

    private func methodPattern(
        _ node: NodeID, _ service: ArraySlice<UInt8>, _ method: ArraySlice<UInt8>
    ) -> PathPattern? {
        let prefix = [0x2f] + service + [0x2f]
        let isAll = method.elementsEqual([0x2a])
        let path = prefix + (isAll ? [0x4d] : method)
        if path.isGRPCPath { return isAll ? .prefix(prefix) : .exact(path) }
        let bare = checker.tree.string(node).drop(while: { $0 == "/" })
        let isOnlySlash = service.first == 0x2f && Array(path.dropFirst()).isGRPCPath
        failMethod(node, suggestion: isOnlySlash ? String(bare) : nil)
        return nil
    }

    private func failMethod(_ node: NodeID, suggestion: String?) {
        checker.report(
            .badValue,
            Diagnostic(
                .badValue, checker.tree.place(node), "\(checker.found(node)) is not a method",
                expected: "pkg.Service/Method, pkg.Service/* or pkg.*", suggestion: suggestion))
    }

    func readHTTPMethod(_ node: NodeID) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "an HTTP method") else { return nil }
        let upper = bytes.map { $0.isLetter ? $0 & 0xdf : $0 }
        guard !bytes.isEmpty, bytes.count <= 32, upper.allSatisfy({ $0.isLetter || $0 == 0x2d }),
            upper.elementsEqual(bytes)
        else {
            checker.report(
                .badValue,
                Diagnostic(
                    .badValue, checker.tree.place(node),
                    "\(checker.found(node)) is not an HTTP method", expected: "such as GET or POST",
                    suggestion: String(decoding: upper, as: UTF8.self).quotable))
            return nil
        }
        if bytes.elementsEqual("CONNECT".utf8) {
            checker.fail(
                .neverMatches, node, "CONNECT is refused before routing",
                expected: "another method")
        }
        return Array(bytes)
    }
}

/// Paths of plain HTTP and hosts.
extension SnapshotBuilder {
    private func readPath(_ node: NodeID) -> PathPattern? {
        guard checker.tree.kind(node) == .mapping else {
            return readPlainPath(node).map { .exact($0) }
        }
        guard let fields = checker.fields(node, PathKey.self) else { return nil }
        if let value = fields[.exact] { return readPlainPath(value).map { .exact($0) } }
        return fields[.prefix].flatMap { readPlainPath($0, isPrefix: true) }.map { .prefix($0) }
    }

    /// A path that a request can have: others are refused before any route is looked for.
    func readPlainPath(_ node: NodeID, isPrefix: Bool = false) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a path") else { return nil }
        return checkedPath(Array(bytes), node, isPrefix: isPrefix)
    }

    func checkedPath(_ path: [UInt8], _ node: NodeID, isPrefix: Bool) -> [UInt8]? {
        if path.contains(0x3f) {
            checker.fail(
                .badValue, node, "the path \(checker.found(node)) has a query",
                expected: "the path alone; conditions on the query go under 'query'")
            return nil
        }
        // A prefix may end within a segment, as `/a/.` does.
        let whole = isPrefix ? path + [0x61] : path
        if case .refused(let refusal) = RequestPath.check(whole.span) {
            checker.fail(
                .neverMatches, node,
                "no request is routed with this path, since \(refusal.words)",
                expected: "a path as requests have it, such as /v1/orders")
            return nil
        }
        return path
    }

    func readHostnames(_ node: NodeID) -> [HostPattern] {
        var hosts: [HostPattern] = []
        for item in checker.items(node, "hostnames", 1...Self.hostnamesMax) {
            guard let host = readHostname(item) else { continue }
            if hosts.contains(host) {
                checker.fail(
                    .duplicateEntry, item, "the hostname \(checker.found(item)) is listed twice",
                    expected: "each hostname once; letters' case does not count")
            } else {
                hosts.append(host)
            }
        }
        return hosts
    }

    private func readHostname(_ node: NodeID) -> HostPattern? {
        let bytes = checker.tree.bytes(node)
        guard bytes.starts(with: [0x2a, 0x2e]) else { return exactHost(node).map { .exact($0) } }
        let host = bytes.dropFirst(2).map(\.lowercased)
        guard Authority.check(host.span) == 0..<host.count else {
            failHost(node)
            return nil
        }
        return .wildcard(suffix: [0x2e] + host)
    }

    /// A host without a port, in lower case.
    func exactHost(_ node: NodeID) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a hostname") else { return nil }
        let host = bytes.map(\.lowercased)
        guard Authority.check(host.span) == 0..<host.count else {
            failHost(node)
            return nil
        }
        return host
    }

    private func failHost(_ node: NodeID) {
        checker.fail(
            .badValue, node, "\(checker.found(node)) is not a hostname",
            expected: "such as orders.example or *.orders.example, without port or final dot; "
                + "for any host leave hostnames out")
    }
}
