internal import Rules
internal import Wire

/// Answers of Weir's own: `respond` and `redirect`.
extension SnapshotBuilder {
    static let bodyBytesMax = 64 << 10
    static let messageBytesMax = 1 << 10
    static let serviceBytesMax = 500
    static let servicesMax = 1_000

    func readRespond(_ node: NodeID) -> DirectResponse? {
        guard let fields = checker.fields(node, RespondKey.self), let statusNode = fields[.status],
            let status = checker.count(statusNode, "a status", 200...599)
        else { return nil }
        let keys = fields[.keysOf].flatMap { find($0, "token signer", among: tokenSigners) }
        if fields[.keysOf] != nil, let node = fields[.body] {
            checker.fail(
                .conflict, node, "this response has two bodies", expected: "one of body and keys_of"
            )
        }
        let body =
            keys?.published
            ?? fields[.body].flatMap { readText($0, "a body", Self.bodyBytesMax) } ?? []
        let usualType = keys == nil ? "text/plain; charset=utf-8" : "application/jwk-set+json"
        if status == 204 || status == 304, !body.isEmpty {
            checker.fail(
                .conflict, fields[.body] ?? fields[.keysOf] ?? node,
                "a response with status \(status) has no body",
                expected: "another status, or no body")
        }
        let type = fields[.contentType].flatMap { fieldValue($0, "a content type") }
        let message = fields[.message].flatMap { readText($0, "a message", Self.messageBytesMax) }
        let fallback = GRPCStatus(httpStatus: UInt16(status))
        return DirectResponse(
            status: UInt16(status),
            contentType: body.isEmpty
                ? type ?? [] : type ?? Array(usualType.utf8),
            body: body,
            grpcStatus: (fields[.grpcStatus].flatMap(readGRPCStatus) ?? fallback).rawValue,
            message: String(decoding: message ?? [], as: UTF8.self))
    }

    func readHealth(_ node: NodeID) -> HealthTerms? {
        guard let fields = checker.fields(node, HealthKey.self) else { return nil }
        guard let node = fields[.services] else { return HealthTerms(services: []) }
        let entries = checker.entries(node, "services", max: Self.servicesMax)
        return HealthTerms(services: entries.compactMap { readService($0.key, $0.value) })
    }

    private func readService(_ key: NodeID, _ value: NodeID) -> HealthTerms.Service? {
        let service = Array(checker.tree.bytes(key))
        if service.count > Self.serviceBytesMax {
            checker.fail(
                .outOfRange, key, "a service's name of \(service.count) bytes",
                expected: "at most \(Self.serviceBytesMax)")
        }
        return readUpstream(value).map { HealthTerms.Service(name: service, upstream: $0) }
    }

    private func readText(_ node: NodeID, _ what: String, _ most: Int) -> [UInt8]? {
        guard let bytes = checker.bytes(node, what) else { return nil }
        if bytes.count > most {
            checker.fail(
                .outOfRange, node, "\(what) of \(bytes.count) bytes",
                expected: "at most \(Size.describe(Int64(most)))")
        }
        return Array(bytes)
    }

    /// By number or by name.
    func readGRPCStatus(_ node: NodeID) -> GRPCStatus? {
        let text = checker.tree.bytes(node)
        if text.first?.isDigit == true {
            return checker.count(node, "a gRPC status", 0...16)
                .flatMap { GRPCStatus(rawValue: UInt8($0)) }
        }
        let names = GRPCStatus.allCases.map { "\($0.name)" }
        guard let position = checker.choice(node, "a gRPC status", names) else { return nil }
        return GRPCStatus.allCases[position]
    }

    func readRedirect(_ node: NodeID, _ matches: [MatchDraft]) -> Redirect? {
        guard let fields = checker.fields(node, RedirectKey.self) else { return nil }
        var status: Int64 = 302
        if let value = fields[.status] {
            status = checker.count(value, "a redirect's status", 301...308) ?? 302
            if [304, 305, 306].contains(status) {
                checker.fail(
                    .outOfRange, value, "\(status) is no redirect",
                    expected: "301, 302, 303, 307 or 308")
            }
        }
        let schemes = ["http", "https"]
        let scheme = fields[.scheme].flatMap { checker.choice($0, "a scheme", schemes) }
        let port = fields[.port].flatMap { checker.count($0, "a port", 1...65_535) }
        let hostname = fields[.hostname].flatMap { exactHost($0) }
        let path = fields[.path].flatMap { readRedirectPath($0, matches) }
        if fields[.scheme] == nil, fields[.hostname] == nil, fields[.port] == nil,
            fields[.path] == nil
        {
            checker.fail(
                .conflict, node, "this redirect leads to where it came from",
                expected: "one of scheme, hostname, port and path")
        }
        return Redirect(
            status: UInt16(status), scheme: scheme.map { Array(schemes[$0].utf8) },
            hostname: hostname, port: port.map { UInt16($0) }, path: path)
    }

    private func readRedirectPath(
        _ node: NodeID, _ matches: [MatchDraft]
    ) -> Rewrite.PathRewrite? {
        guard let fields = checker.fields(node, RedirectPathKey.self) else { return nil }
        if let value = fields[.full] { return readPlainPath(value).map { .full($0) } }
        return fields[.prefix].flatMap { readPrefixRewrite($0, matches) }
    }
}

/// `rewrite`.
extension SnapshotBuilder {
    func readRewrite(_ node: NodeID, _ matches: [MatchDraft]) -> Rewrite? {
        guard let fields = checker.fields(node, RewriteKey.self) else { return nil }
        var path: Rewrite.PathRewrite?
        if let prefix = fields[.pathPrefix] {
            path = readPrefixRewrite(prefix, matches)
            if let full = fields[.path] {
                checker.fail(
                    .conflict, full, "both the path and its prefix are rewritten",
                    expected: "one of path and path_prefix")
            }
        } else if let full = fields[.path] {
            path = readPathRewrite(full, matches)
        }
        let hostname = fields[.hostname].flatMap(readAuthority)
        if fields[.hostname] == nil, fields[.path] == nil, fields[.pathPrefix] == nil {
            checker.fail(
                .missingKey, node, "this rewrite changes nothing",
                expected: "one of path_prefix, path and hostname")
        }
        return Rewrite(path: path, hostname: hostname)
    }

    private func readAuthority(_ node: NodeID) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a host") else { return nil }
        let host = Array(bytes)
        if Authority.check(host.span) != nil { return host }
        checker.fail(
            .badValue, node, "\(checker.found(node)) is not a host",
            expected: "a host name or address, with or without a port")
        return nil
    }

    private func readPathRewrite(_ node: NodeID, _ matches: [MatchDraft]) -> Rewrite.PathRewrite? {
        guard let path = readPlainPath(node) else { return nil }
        if matches.contains(where: \.isMethod), !path.isGRPCPath {
            checker.fail(
                .badRewrite, node,
                "the methods matched here would be called by a path that is none of gRPC's",
                expected: "a path such as /pkg.Service/Method")
        }
        return .full(path)
    }

    /// The matches must agree on one prefix: its length is all that is known when it is replaced.
    private func readPrefixRewrite(
        _ node: NodeID, _ matches: [MatchDraft]
    ) -> Rewrite.PathRewrite? {
        guard let with = readPlainPath(node, isPrefix: true) else { return nil }
        var prefixes: Set<[UInt8]> = []
        for match in matches {
            guard case .prefix(let prefix) = match.path else {
                checker.fail(
                    .badRewrite, node, "a match of this route has no prefix that could be replaced",
                    expected: "matches with a path prefix, pkg.Svc/* or pkg.*")
                return nil
            }
            prefixes.insert(prefix.withoutFinalSlash)
        }
        guard let prefix = prefixes.first, prefixes.count == 1 else {
            if !prefixes.isEmpty {
                checker.fail(
                    .badRewrite, node, "the matches of this route have different prefixes",
                    expected: "a route for each prefix")
            }
            return nil
        }
        if prefix.last == 0x2e {
            return checkedRewrite(node, prefix, with, rest: "0/M", expected: "such as /pkg.")
        }
        let replacement = with.withoutFinalSlash
        guard matches.contains(where: \.isMethod) else {
            return .prefix(count: prefix.count, with: replacement)
        }
        return checkedRewrite(
            node, prefix, replacement, rest: "/M", expected: "such as /pkg.Service/")
    }

    /// The rewrite, checked with `rest`, the worst that can follow the prefix.
    private func checkedRewrite(
        _ node: NodeID, _ prefix: [UInt8], _ with: [UInt8], rest: String, expected: String
    ) -> Rewrite.PathRewrite {
        if !(with + Array(rest.utf8)).isGRPCPath {
            checker.fail(
                .badRewrite, node,
                "the methods matched here would be called by paths that are none of gRPC's",
                expected: expected)
        }
        return .prefix(count: prefix.count, with: with)
    }
}

extension [UInt8] {
    /// In the grammar of gRPC: `/pkg.Service/Method`.
    var isGRPCPath: Bool { if case .grpc = RequestPath.check(span) { true } else { false } }

    /// Prefixes go by whole segments, with or without the slash.
    var withoutFinalSlash: [UInt8] { last == 0x2f ? Array(dropLast()) : self }
}
