import Rules
import Testing
import Wire

@testable import Configuration

/// The examples in config/: each loads without a warning, and does what its comments say.
@Suite struct ExampleTests {
    private static let examples =
        Repository.yamlFiles(in: "config").map { "config/\($0).yaml" } + ["config/split"]

    private static func load(_ path: String) -> LoadResult {
        ConfigurationLoader.load(path: Repository.root + "/" + path, environment: [:])
    }

    @Test("every example loads without a warning", arguments: examples)
    func loads(_ path: String) {
        #expect(Self.load(path).diagnostics.map(\.description) == [])
        #expect(Self.load(path).snapshot != nil)
    }

    struct Question: Sendable {
        let file: String
        var listener = "local"
        /// `pkg.Svc/M`, or `GET /path`.
        let target: String
        var authority = "localhost"
        var headers: [String: String] = [:]
        /// The client's address.
        var client: String?
        let route: String?
        let verdict: Explanation.Verdict
        /// A line of the answer.
        var says = ""
    }

    private static let questions: [Question] = [
        Question(
            file: "config/minimal.yaml", target: "any.Service/Call", route: "all",
            verdict: .forwarded, says: "  to upstream echo, weight 1 of 1: 127.0.0.1:50051"),
        Question(
            file: "config/minimal.yaml", target: "GET /x", route: "all", verdict: .forwarded),
        Question(
            file: "config/minimal.yaml", target: "GET /a//b", route: nil, verdict: .refused,
            says: "refused: the path holds two slashes in a row"),
        Question(
            file: "config/minimal.yaml", target: "Service", route: nil, verdict: .refused,
            says: "refused: the path is not in gRPC's grammar: UNIMPLEMENTED"),
        Question(
            file: "config/limits.yaml", listener: "edge", target: "orders.v1.Orders/Report",
            route: "reports", verdict: .forwarded,
            says: "  plans: domain shop of a service, by header x-tenant"),
        Question(
            file: "config/load-balancer.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            route: "orders", verdict: .refused,
            says: "source: as a PROXY header of version 2 from 10.0.0.0/28 says"),
        Question(
            file: "config/mirroring.yaml", target: "orders.v1.Orders/Get", route: "orders",
            verdict: .forwarded,
            says: "  mirror: 10% are copied to upstream orders-next: 127.0.0.1:50052"),
        Question(
            file: "config/mirroring.yaml", target: "orders.v1.Orders/Pay", route: "payments",
            verdict: .forwarded),
        Question(
            file: "config/faults.yaml", target: "orders.v1.Orders/Get",
            headers: ["x-test": "1"], route: "orders-tested", verdict: .forwarded,
            says: "  fault: 10% are answered with UNAVAILABLE or 503"),
        Question(
            file: "config/faults.yaml", target: "orders.v1.Orders/Get",
            headers: ["x-test": "1"], route: "orders-tested", verdict: .forwarded,
            says: "  fault: 20% wait for 200ms"),
        Question(
            file: "config/faults.yaml", target: "orders.v1.Orders/Get", route: "orders",
            verdict: .forwarded),
        Question(
            file: "config/limits.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            route: "orders", verdict: .forwarded,
            says: "  per-address: 100/s, burst 200, by client"),
        Question(
            file: "config/limits.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            route: "orders", verdict: .forwarded,
            says: "  per-tenant: 20/s, burst 20, by header x-tenant and method, dry run"),
        Question(
            file: "config/limits.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            route: "orders", verdict: .forwarded,
            says: "    adaptive concurrency: 10 to 500 at once"),
        Question(
            file: "config/limits.yaml", listener: "edge", target: "orders.v1.Orders/Report",
            route: "reports", verdict: .forwarded, says: "  reports: 30/m, burst 5"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "orders.v1.Orders/Ge",
            authority: "EU.orders.example:8080", route: "orders", verdict: .forwarded,
            says: "  to upstream orders-canary, weight 5 of 100: 10.0.1.7:50051"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "orders.v1.Orders/Place",
            authority: "orders.example", headers: ["X-Beta": "on"], route: "orders-beta",
            verdict: .forwarded, says: "  request header x-version: set to 'canary'"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "orders.v1.Orders/Place",
            authority: "orders.example", headers: ["x-user": "test-7", "x-region": "eu"],
            route: "orders", verdict: .forwarded,
            says: "  orders-beta (host orders.example, path /orders.v1.Orders/Place, headers: 2): "
                + "does not match: the header x-region is present"),
        Question(
            file: "config/gateway.yaml", listener: "internal", target: "legacy.Orders/Get",
            route: "orders-legacy", verdict: .forwarded,
            says: "  path: rewritten to /orders.v1.Orders/Get"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "orders.v1.Orders/Watch",
            authority: "orders.example", route: "orders-watch", verdict: .forwarded,
            says: "  idle timeout: 15m"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "GET /api/x?version=2",
            authority: "www.example", route: "web-api", verdict: .forwarded,
            says: "  path: rewritten to /v2/x?version=2"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "GET /apix?version=2",
            authority: "www.example", route: "web", verdict: .forwarded,
            says: "  response header strict-transport-security: added, 'max-age=31536000'"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "GET /docs/a?b",
            authority: "www.example", route: "docs-moved", verdict: .redirected,
            says: "route: docs-moved: 301 to http://www.example/manual/a?b"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "GET /a?b", authority: "example",
            route: "to-www", verdict: .redirected,
            says: "route: to-www: 308 to http://www.example/a?b"),
        Question(
            file: "config/gateway.yaml", listener: "edge", target: "GET /robots.txt",
            route: "robots", verdict: .answered,
            says: "route: robots: answered with 200 with 26 bytes"),
        Question(
            file: "config/gateway.yaml", listener: "internal", target: "billing.v1.Bills/Get",
            route: "retired", verdict: .answered,
            says: "route: retired: answered with gRPC status 12 'billing has moved to accounts'"),
        Question(
            file: "config/gateway.yaml", listener: "internal", target: "GET /billing.v1.Bills/Get",
            route: "retired", verdict: .refused,
            says: "route: retired: 415, since it is for gRPC alone"),
        Question(
            file: "config/gateway.yaml", listener: "internal", target: "no.Such/Method", route: nil,
            verdict: .refused, says: "route: none: UNIMPLEMENTED"),
        Question(
            file: "config/retries.yaml", target: "orders.v1.Orders/Get", route: "orders",
            verdict: .forwarded,
            says: "  retry: up to 3 attempts, of RESOURCE_EXHAUSTED, UNAVAILABLE"),
        Question(
            file: "config/retries.yaml", target: "orders.v1.Orders/Place", route: "orders-place",
            verdict: .forwarded, says: "  retry: only what no server has processed"),
        Question(
            file: "config/retries.yaml", target: "search.v1.Search/Find", route: "search",
            verdict: .forwarded, says: "    hedging: another attempt after each 40ms"),
        Question(
            file: "config/retries.yaml", target: "GET /files/a", route: "files",
            verdict: .forwarded,
            says: "  retry: up to 2 attempts, of 502, 503, 504 to GET, HEAD, OPTIONS, TRACE"),
        Question(
            file: "config/sidecar.yaml", listener: "inbound", target: "orders.v1.Orders/Get",
            route: "inbound", verdict: .forwarded,
            says: "  to upstream service, weight 1 of 1: unix:@service"),
        Question(
            file: "config/sidecar.yaml", listener: "outbound", target: "billing.v1.Bills/Get",
            authority: "billing.internal", route: "billing", verdict: .forwarded,
            says: "  timeout: 1s"),
        Question(
            file: "config/health.yaml", target: "orders.v1.Orders/Place", route: "orders-place",
            verdict: .forwarded, says: "  failures: INTERNAL, UNAVAILABLE"),
        Question(
            file: "config/health.yaml", target: "orders.v1.Orders/Get", route: "orders",
            verdict: .forwarded, says: "    ejects an endpoint after 3 failures in a row"),
        Question(
            file: "config/health.yaml", target: "orders.v1.Orders/Get", route: "orders",
            verdict: .forwarded,
            says: "    checks endpoints by gRPC, service 'orders.v1.Orders', and watches it, "
                + "every 5s, 1s once one has failed"),
        Question(
            file: "config/health.yaml", target: "GET /x", route: "web",
            verdict: .forwarded,
            says: "    checks endpoints by GET /healthz, every 10s, 1s once one has failed"),
        Question(
            file: "config/split", listener: "edge", target: "GET /status", route: "status",
            verdict: .refused, says: "access: denied, as access.default is deny: 403"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            client: "203.0.113.7", route: "orders", verdict: .forwarded,
            says: "access: allowed by rule readers, allow 1"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            client: "203.0.113.7", route: "orders", verdict: .forwarded,
            says: "  were dry runs enforced: denied by rule tenants, deny 1: PERMISSION_DENIED"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            headers: ["x-tenant": "eu-1"], client: "198.51.100.1", route: "orders",
            verdict: .forwarded, says: "access: allowed by rule readers, allow 2"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "orders.v1.Orders/Get",
            client: "203.0.113.66", route: "orders", verdict: .refused,
            says: "access: denied by rule quarantine, deny 1: PERMISSION_DENIED"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "orders.v1.Orders/Place",
            client: "203.0.113.7", route: "orders", verdict: .refused,
            says: "access: denied, as access.default is deny: PERMISSION_DENIED"),
        Question(
            file: "config/access.yaml", listener: "edge", target: "GET /status",
            client: "192.0.2.1", route: "status", verdict: .forwarded,
            says: "access: allowed by rule health, allow 1"),
        Question(
            file: "config/balancing.yaml", target: "shop.Orders/Get", route: "orders",
            verdict: .forwarded,
            says: "  to upstream orders, weight 1 of 1: 10.0.0.7:50051, 10.0.0.8:50051 (weight 2)"),
        Question(
            file: "config/balancing.yaml", target: "shop.Search/Find", route: "search",
            verdict: .forwarded, says: "    balance: the shortest wait (peak_ewma)"),
        Question(
            file: "config/balancing.yaml", target: "shop.Carts/Add", route: "carts",
            verdict: .forwarded,
            says: "    balance: by the hash of header x-user (ring_hash), at most 125% of the "
                + "average load"),
        Question(
            file: "config/balancing.yaml", target: "GET /", route: "web",
            verdict: .forwarded, says: "    balance: by the hash of cookie weir-affinity (maglev)"),
        Question(
            file: "config/balancing.yaml", target: "shop.Prices/Get", route: "prices",
            verdict: .forwarded,
            says: "    balance: the fewest requests (least_request), zone eu-1a first, slow start"),
    ]

    @Test("the examples do with requests what they say", arguments: questions)
    func explains(_ question: Question) throws {
        let snapshot = try #require(Self.load(question.file).snapshot)
        let listener = try #require(
            snapshot.listeners.first { $0.name == question.listener })
        let fields = question.headers.map { DescribedRequest.Field(name: $0, value: $1) }
        let words = question.target.split(separator: " ").map(String.init)
        var request =
            words.count == 1
            ? DescribedRequest(
                method: words[0], authority: question.authority, fields: fields)
            : DescribedRequest(
                path: words[1], httpMethod: words[0], authority: question.authority, fields: fields)
        if let client = question.client {
            request.caller.client = IPAddress(parsing: client.utf8.span) ?? .unknown
        }
        let explanation = Explanation(request, at: listener, in: snapshot)
        #expect(explanation.route?.name == question.route)
        #expect(explanation.verdict == question.verdict)
        if !question.says.isEmpty { #expect(explanation.lines.contains(question.says)) }
    }
}
