public import Rules
internal import Wire

/// A request that somebody asks about.
public struct DescribedRequest: Sendable, RequestFields {
    public struct Field: Sendable {
        /// In lower case.
        public let name: [UInt8]
        public let value: [UInt8]

        public init(name: String, value: String) {
            self.name = name.utf8.map(\.lowercased)
            self.value = Array(value.utf8)
        }
    }

    public let authority: [UInt8]
    public let httpMethod: [UInt8]
    /// With its query.
    public let path: [UInt8]
    public let fields: [Field]
    public let isGRPC: Bool
    /// Who sends it.
    public var caller = AccessCaller()

    /// A gRPC call of `method`, `pkg.Svc/M`.
    public init(method: String, authority: String, fields: [Field]) {
        self.authority = Array(authority.utf8)
        httpMethod = Array("POST".utf8)
        path = Array((method.hasPrefix("/") ? method : "/" + method).utf8)
        self.fields = fields
        isGRPC = true
    }

    /// A request of plain HTTP, unless its content-type says gRPC.
    public init(path: String, httpMethod: String, authority: String, fields: [Field]) {
        self.authority = Array(authority.utf8)
        self.httpMethod = Array(httpMethod.utf8)
        self.path = Array(path.utf8)
        self.fields = fields
        isGRPC = fields.contains {
            $0.name.elementsEqual("content-type".utf8) && ContentType.isGRPC($0.value.span)
        }
    }

    public func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        for field in fields where field.name.count == name.count {
            if name.indices.allSatisfy({ name[$0] == field.name[$0] }) { body(field.value.span) }
        }
    }
}

/// What a listener would do with a request, in words.
public struct Explanation: Sendable {
    public enum Verdict: Sendable, Equatable {
        case forwarded, answered, redirected
        /// Refused before routing, by the access rules, by no route, or by its route.
        case refused
    }

    public private(set) var verdict: Verdict = .refused
    /// The route found, even if access is denied.
    public private(set) var route: Route?
    public private(set) var lines: [String] = []

    private let snapshot: Snapshot
    private let listener: ListenerTerms
    private let request: DescribedRequest

    /// - notes: lines about what the caller brings.
    public init(
        _ request: DescribedRequest, at listener: ListenerTerms, in snapshot: Snapshot,
        notes: [String] = []
    ) {
        self.snapshot = snapshot
        self.listener = listener
        self.request = request
        explain(notes)
    }

    private mutating func explain(_ notes: [String]) {
        let kind = request.isGRPC ? "a gRPC call" : "plain HTTP"
        lines.append(
            "request: \(text(request.httpMethod)) \(text(request.path)) for "
                + "'\(text(request.authority))', \(kind), at listener \(listener.name) "
                + "(\(listener.address))")
        if let rule = listener.intake.proxyProtocol { lines.append("source: \(rule.words)") }
        lines += notes
        guard isValid() else { return }
        explainLimits(listener.rateLimits.first, "rate limits first")
        let access = Self.access(request, at: listener, in: snapshot)
        lines += access.lines
        let isAllowed = access.isAllowed
        explainLimits(listener.rateLimits.identified, "rate limits after access")
        findRoute()
        guard let route else {
            lines.append("route: none: " + (request.isGRPC ? "UNIMPLEMENTED" : "404"))
            return
        }
        let service = route.rateLimits.service
        explainLimits(
            route.rateLimits.positions + (service < 0 ? [] : [service]),
            "rate limits of route \(route.name)")
        explain(route, prefix: isAllowed ? "" : "were it allowed, ")
        if !isAllowed { verdict = .refused }
    }

    private mutating func explainLimits(_ positions: [Int], _ title: String) {
        if positions.isEmpty { return }
        lines.append("\(title):")
        for position in positions { lines.append("  \(snapshot.rateLimits[position].words)") }
    }

    /// What is refused before routing.
    private mutating func isValid() -> Bool {
        if !request.authority.isEmpty, Authority.check(request.authority.span) == nil {
            lines.append("refused: '\(text(request.authority))' is no authority")
            return false
        }
        switch RequestPath.check(request.path.span) {
        case .grpc: return true
        case .refused(let refusal):
            lines.append("refused: \(refusal.words)")
            return false
        case .plain:
            guard request.isGRPC, listener.intake.paths == .strict else { return true }
            lines.append("refused: the path is not in gRPC's grammar: UNIMPLEMENTED")
            return false
        }
    }

    private mutating func findRoute() {
        let considered = listener.routes.explain(
            authority: request.authority.span, httpMethod: request.httpMethod.span,
            path: request.path.span, fields: request)
        guard !considered.isEmpty else { return }
        let wanted = Set(considered.map(\.pattern))
        var patterns: [Int: CompiledPattern] = [:]
        for pattern in listener.routes.compiledOrder where wanted.contains(pattern.pattern) {
            patterns[pattern.pattern] = pattern
        }
        lines.append("considered, the most specific first:")
        for consideration in considered {
            let name = snapshot.routes[consideration.route].name
            let words = patterns[consideration.pattern].map(describe) ?? ""
            lines.append("  \(name) (\(words)): \(consideration.outcome)")
            if consideration.outcome == .chosen { route = snapshot.routes[consideration.route] }
        }
    }

    private mutating func explain(_ route: Route, prefix: String) {
        if route.isGRPCOnly, !request.isGRPC {
            lines.append("route: \(route.name): \(prefix)415, since it is for gRPC alone")
            return
        }
        switch route.action {
        case .forward(let backends): explain(route, backends, prefix)
        case .respond(let response):
            verdict = .answered
            let answer =
                request.isGRPC
                ? "gRPC status \(response.grpcStatus) '\(response.message)'"
                : "\(response.status) with \(response.body.count) bytes"
            lines.append("route: \(route.name): \(prefix)answered with \(answer)")
        case .redirect(let redirect):
            guard !request.isGRPC else {
                lines.append("route: \(route.name): \(prefix)refused: gRPC is not redirected")
                return
            }
            verdict = .redirected
            lines.append(
                "route: \(route.name): \(prefix)\(redirect.status) to \(location(redirect))")
        case .health:
            verdict = .answered
            lines.append("route: \(route.name): \(prefix)answered as a health check")
        }
        if let edits = route.responseHeaders { explain(edits, of: "response") }
    }

    private mutating func explain(
        _ route: Route, _ backends: WeightedBackends, _ prefix: String
    ) {
        lines.append("route: \(route.name): \(prefix)forwarded")
        verdict = .forwarded
        for backend in backends.backends {
            let upstream = snapshot.upstreams[backend.upstream]
            let refusal = upstream.isGRPCOnly && !request.isGRPC ? ", which answers 415" : ""
            lines.append(
                "  to upstream \(upstream.name)\(refusal), weight \(backend.weight) of "
                    + "\(backends.totalWeight): " + endpoints(of: upstream)
            )
            if upstream.endpoints.count > 1 {
                lines.append("    balance: \(upstream.balance.words)")
            }
            if let adaptive = upstream.conduct.adaptive {
                lines.append(
                    "    adaptive concurrency: \(adaptive.least) to \(adaptive.most) at once")
            }
            lines += upstream.healthLines.map { "    " + $0 }
        }
        let upstreams = backends.backends.filter { $0.weight > 0 }.map(\.upstream)
        if !request.isGRPC, upstreams.allSatisfy({ snapshot.upstreams[$0].isGRPCOnly }) {
            verdict = .refused
        }
        if route.timeout > 0 { lines.append("  timeout: \(Duration.describe(route.timeout))") }
        if route.idleTimeout > 0 {
            lines.append("  idle timeout: \(Duration.describe(route.idleTimeout))")
        }
        if upstreams.contains(where: { snapshot.upstreams[$0].conduct.ejection != nil }) {
            lines.append("  failures: " + route.failureWords(isGRPC: request.isGRPC))
        }
        if let faults = route.faults { lines += faults.words.map { "  fault: " + $0 } }
        lines += Self.lines(about: route.retry, isGRPC: request.isGRPC)
        if let mirror = route.mirror { lines.append("  mirror: " + words(about: mirror)) }
        if let path = route.rewrite?.path {
            lines.append("  path: rewritten to \(text(path.rewriting(request.path)))")
        }
        if let hostname = route.rewrite?.hostname {
            lines.append("  :authority: rewritten to \(text(hostname))")
        }
        if let edits = route.requestHeaders { explain(edits, of: "request") }
    }

    private func words(about mirror: MirrorTerms) -> String {
        let upstream = snapshot.upstreams[mirror.upstream]
        if mirror.share == 0 { return "off, nothing is copied to upstream \(upstream.name)" }
        return "\(Percent.text(ofShare: mirror.share)) are copied to upstream "
            + "\(upstream.name): " + endpoints(of: upstream)
    }

    private mutating func explain(_ edits: HeaderEdits, of what: String) {
        for name in edits.remove { lines.append("  \(what) header \(text(name)): removed") }
        for field in edits.set {
            lines.append("  \(what) header \(text(field.name)): set to '\(text(field.value))'")
        }
        for field in edits.add {
            lines.append("  \(what) header \(text(field.name)): added, '\(text(field.value))'")
        }
    }

    private func location(_ redirect: Redirect) -> String {
        let scheme = redirect.scheme.map(text) ?? "http"
        let range = Authority.check(request.authority.span) ?? 0..<0
        var host = redirect.hostname.map(text) ?? text(Array(request.authority[range]))
        if let port = redirect.port {
            host += ":\(port)"
        } else if redirect.hostname == nil, redirect.scheme == nil {
            host = text(request.authority)
        }
        return "\(scheme)://\(host)" + text(redirect.path?.rewriting(request.path) ?? request.path)
    }

    private func describe(_ pattern: CompiledPattern) -> String {
        var words: [String] = []
        switch pattern.host {
        case .any: words.append("any host")
        case .exact(let host): words.append("host \(text(host))")
        case .wildcard(let suffix): words.append("host *\(text(suffix))")
        }
        switch pattern.path {
        case .any: words.append("any path")
        case .exact(let path): words.append("path \(text(path))")
        case .prefix(let path) where path.last == 0x2e:
            words.append("paths that begin with \(text(path))")
        case .prefix(let path): words.append("paths under \(text(path))")
        }
        if let method = pattern.httpMethod { words.append(text(method)) }
        if pattern.headerCount > 0 { words.append("headers: \(pattern.headerCount)") }
        if pattern.parameterCount > 0 { words.append("parameters: \(pattern.parameterCount)") }
        return words.joined(separator: ", ")
    }

    private func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self).quotable
    }

    private func endpoints(of upstream: UpstreamTerms) -> String {
        guard let source = upstream.source else {
            return Self.some(upstream.endpoints.map(\.description))
        }
        return "found by \(source)"
    }

    private static func some(_ texts: [String]) -> String {
        let more = texts.count - 5
        return texts.prefix(5).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }
}

extension Rewrite.PathRewrite {
    fileprivate func rewriting(_ path: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        append(rewriting: path.span, to: &output)
        return output
    }
}
