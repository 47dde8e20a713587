import Peers
import Wire

/// Whole connections as fuzzing makes them up: a configuration with a little of everything that a
/// request passes, and what of a client's words may reach a server.
public enum RawStory {
    /// What is wrong, in words.
    public static func fault(_ bytes: [UInt8]) -> String? {
        guard case .success(let configuration) = configuration else { return "\(configuration)" }
        let script = RawScript(bytes)
        let exchange = RawExchange(script, configuration)
        if let fault = exchange.run() { return fault }
        var requests: UInt64 = 0
        for case .headers(_, let kind, let fields) in exchange.serverEvents.joined() {
            if kind == .request { requests += 1 }
            let fault = kind == .request ? requestFault(fields, script.door) : trailersFault(fields)
            if let fault { return "a server heard \(fault): \(fields)" }
        }
        guard requests <= triesMax * exchange.exchanges else {
            return "\(requests) requests came of \(exchange.exchanges)"
        }
        for case .headers(_, _, let fields) in exchange.clientEvents.joined() {
            if let hop = fields.first(where: { HeaderToken.of($0.name).isHopByHop }) {
                return "a client heard \(hop)"
            }
        }
        return nil
    }

    /// Three by the route, and one for a stream that a server has refused.
    private static let triesMax: UInt64 = 4

    private static func requestFault(_ fields: [HeaderField], _ door: Int) -> String? {
        let isCall = fields.first(":path")?.hasPrefix("/weir.echo.v1.Echo/") == true
        let isFile = fields.first(":path")?.hasPrefix("/data") == true
        guard isCall || isFile else { return "a path of no route" }
        guard fields.first(":method") != "CONNECT" else { return "a method that is not offered" }
        for field in fields {
            let token = HeaderToken.of(field.name)
            if token.isHopByHop, token != .te { return "a field that ends at a proxy" }
            if token.isStrippedFromClients, !mayBeSaid(field.name, behind: door) {
                return "what a client may not say"
            }
        }
        if door == 0 {
            guard fields.first("x-forwarded-for")?.hasSuffix("10.1.0.1") == true else {
                return "another client"
            }
        }
        guard isFile else { return nil }
        guard fields.filter({ $0.name == "x-set" }) == [HeaderField("x-set", "a")] else {
            return "another value than the route's"
        }
        return fields.first("x-gone") == nil ? nil : "what the route removes"
    }

    /// The first listener's clients are trusted proxies.
    private static func mayBeSaid(_ name: String, behind door: Int) -> Bool {
        let names = [
            "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-weir-mirrored",
        ]
        return door == 0 && names.contains(name)
    }

    private static func trailersFault(_ fields: [HeaderField]) -> String? {
        for field in fields {
            let token = HeaderToken.of(field.name)
            if token.isHopByHop || token.isStrippedFromClients || token == .authorization {
                return "trailers that say who is asking"
            }
        }
        return nil
    }

    private static let configuration = Result { () throws(RawConfiguration.Refused) in
        try RawConfiguration(text)
    }

    private static let text = """
        listeners:
          - {name: plain, address: 127.0.0.1:8080, request_id: make, trusted_proxies: [10.1.0.0/16]}
          - name: one
            address: 127.0.0.1:8081
            proxy_protocol: v1
            proxy_protocol_from: [10.1.0.0/16]
          - name: two
            address: 127.0.0.1:8082
            proxy_protocol: v2
            proxy_protocol_from: [10.1.0.0/16]
            paths: relaxed
        upstreams:
          - name: origin
            endpoints: [10.0.0.1:50051, 10.0.0.2:50051]
            balance: {algorithm: ring_hash, hash: [{header: x-key}, {source: true}]}
            ejection: {consecutive_failures: 3}
        rate_limits:
          - {name: all, rate: 100/s, burst: 50, by: [client, {header: x-tenant}], keys: 1000}
        routes:
          - name: echo
            listeners: [plain, one, two]
            matches: [{method: weir.echo.v1.Echo/*}]
            backends: [{upstream: origin}]
            message_limits: {request: 4KiB}
            retry: {attempts: 3, codes: [UNAVAILABLE]}
          - name: hedged
            listeners: [plain, one, two]
            matches: [{method: weir.echo.v1.Echo/Hedged}]
            backends: [{upstream: origin}]
            retry: {attempts: 2, codes: [UNAVAILABLE], hedge: 40ms}
          - name: moved
            listeners: [plain, one, two]
            matches: [{path: /old}]
            redirect: {status: 301, hostname: new.example}
          - name: files
            listeners: [plain, one, two]
            matches: [{path: {prefix: /files}}]
            backends: [{upstream: origin}]
            rewrite: {path_prefix: /data}
            timeout: 5s
            rate_limits: [all]
            request_headers: {set: {x-set: a}, remove: [x-gone]}
            response_headers: {add: {x-added: b}}
          - name: robots
            listeners: [plain, one, two]
            matches: [{path: /robots.txt}]
            respond: {status: 200, body: "User-agent: *"}
        access:
          default: allow
          rules:
            - name: keep-out
              http: ["* /secret"]
              deny: [{headers: {x-user: {exact: mallory}}}]
        access_log: {file: stdout}
        """
}

extension HeaderToken {
    fileprivate static func of(_ name: String) -> HeaderToken { of(Array(name.utf8).span) }
}
