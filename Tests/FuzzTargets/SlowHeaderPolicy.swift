import TestKit

/// What becomes of header fields on their way (docs/configuration.md, docs/operations.md), read
/// slowly and without a line of what does it.
struct SlowHeaderPolicy {
    private let exchange: FieldExchange
    private var isCall: Bool { exchange.route == .calls }
    private var isEdited: Bool { exchange.route != .plain }

    init(_ exchange: FieldExchange) { self.exchange = exchange }

    // MARK: Names

    /// What a client may not say of itself; whatever else begins as these families do, too.
    static let forged: Set<String> = [
        "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-port", "x-forwarded-client-cert", "x-real-ip", "x-original-url",
        "x-rewrite-url", "x-http-method-override", "proxy-authorization",
    ]
    static let families = ["x-weir-", "x-jwt-"]
    static let forwarding: Set<String> = [
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
    ]
    static let hopByHop: Set<String> = [
        "te", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
        "http2-settings",
    ]
    /// A message with one of these may be refused.
    private static let delicate: Set<String> = [
        "te", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
        "host", "content-length", "content-type", "grpc-timeout", "via", "grpc-status",
        "grpc-message", "grpc-retry-pushback-ms",
    ]

    static func isForged(_ name: String) -> Bool {
        let spelling = name.replacing("_", with: "-")
        return forged.contains(spelling)
            || families.contains { spelling.hasPrefix($0) && spelling.utf8.count > $0.utf8.count }
    }

    static func endsHere(_ name: String) -> Bool {
        hopByHop.contains(name) || name.replacing("_", with: "-") == "proxy-authorization"
            || name.hasPrefix("proxy-") && name.utf8.count > "proxy-".utf8.count
    }

    /// There is nothing about it for which a message could be refused.
    static func isPlain(_ field: RawField) -> Bool {
        let marks = Set("!#$%&'*+-.^_`|~".utf8)
        let isToken = field.name.allSatisfy { byte in
            (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || marks.contains(byte)
        }
        let isClean = field.value.allSatisfy { ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7f }
        let ends = [field.value.first, field.value.last].compactMap(\.self)
        guard isToken, !field.name.isEmpty, isClean, ends.allSatisfy({ $0 != 0x20 && $0 != 0x09 })
        else { return false }
        return !delicate.contains(text(field.name))
    }

    // MARK: Requests

    /// In any order the first four, which are pseudo-headers; without grpc-timeout.
    var requestHeaders: [String] {
        var lines = [
            ":method: POST", ":scheme: http", ":path: \(exchange.route.rawValue)",
            ":authority: a.test",
        ]
        if isCall { lines.append("content-type: application/grpc") }
        lines += exchange.requestHeaders.filter(passes).map(Self.line)
        lines.append("via: 2 weir-51110a7ed0000001")
        lines += said
        if isCall, !exchange.requestHeaders.contains(where: { Self.text($0.name) == "te" }) {
            lines.append("te: trailers")
        }
        if isEdited {
            lines += ["x-set: a", "x-forwarded-host: set.test", "x-added: b", "cookie: c=d"]
        }
        return lines
    }

    private func passes(_ field: RawField) -> Bool {
        let name = Self.text(field.name)
        // A call's deadline goes on with it, and is another by then.
        if name == "host" || isCall && name == "grpc-timeout" { return false }
        let changed = ["x-set", "x-gone", "user-agent"]
        if isEdited, changed.contains(name) { return false }
        if name == "te" { return true }
        if exchange.listener == .behind, name == "x-weir-mirrored" { return true }
        return !Self.isForged(name) && !Self.endsHere(name)
    }

    /// What servers are told of the client.
    private var said: [String] {
        if exchange.listener == .direct { return [] }
        let values = exchange.listener == .behind ? exchange.requestHeaders : []
        func all(_ name: String) -> [String] {
            values.filter { Self.text($0.name) == name }.map { Self.text($0.value) }
        }
        let hops = all("x-forwarded-for").drop { $0.isEmpty } + ["10.1.0.1"]
        var lines = ["x-forwarded-for: \(hops.joined(separator: ", "))"]
        if isEdited { return lines }
        lines.append("x-forwarded-proto: \(all("x-forwarded-proto").first ?? "http")")
        lines.append("x-forwarded-host: \(all("x-forwarded-host").first ?? "a.test")")
        return lines
    }

    /// It is a call with a deadline.
    var isTimed: Bool {
        isCall && exchange.requestHeaders.contains { Self.text($0.name) == "grpc-timeout" }
    }

    var requestTrailers: [String] {
        exchange.requestTrailers.filter { field in
            let name = Self.text(field.name)
            return !Self.isForged(name) && !Self.endsHere(name) && name != "authorization"
        }.map(Self.line)
    }

    // MARK: Responses

    var responseHeaders: [String] {
        var lines = [":status: 200"]
        if isCall { lines.append("content-type: application/grpc") }
        let changed = ["x-set", "server", "x-gone", "set-cookie"]
        lines += exchange.responseHeaders.filter { field in
            let name = Self.text(field.name)
            return !Self.endsHere(name) && !(isEdited && changed.contains(name))
        }.map(Self.line)
        if isEdited { lines += ["x-set: a", "server: weir", "x-added: b"] }
        return lines
    }

    var responseTrailers: [String] {
        let trailers = exchange.responseTrailers.filter { !Self.endsHere(Self.text($0.name)) }
        return (isCall ? ["grpc-status: 0"] : []) + trailers.map(Self.line)
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func line(_ field: RawField) -> String {
        "\(text(field.name)): \(text(field.value))"
    }
}
