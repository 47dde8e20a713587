/// The text that `weir init` writes.
struct StarterConfiguration {
    let listen: String
    /// The listener can be reached from this machine only.
    let isLocal: Bool
    let upstreams: [String]
    let methods: [String]
    let descriptors: String?

    /// The upstream's and the route's: the service's last name, if the methods are of one service.
    private var name: String {
        let services = Set(methods.map { $0.prefix { $0 != "/" } })
        guard services.count == 1, let service = services.first,
            let last = service.split(separator: ".").last,
            last.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        else { return "service" }
        return last.lowercased()
    }

    var text: String {
        """
        # Written by `weir init`. `weir check` says whether it is valid, `weir explain` what would
        # become of a request. Changes are loaded by themselves. Every key: docs/configuration.md.

        # Where clients connect. gRPC and plain HTTP/2, without TLS.
        listeners:
          - name: main
            address: \(quoted(listen))
        \(cleartext)    request_id: make             # x-request-id where none came; it is logged
            # limits: {concurrent_streams: 100, connections: 50000}
            # timeouts: {drain: 30s, idle: 5m}

        # Where the service is. Several addresses take turns.
        upstreams:
          - name: \(name)
            endpoints: [\(upstreams.map(quoted).joined(separator: ", "))]
            # limits: {requests: 1024}   # at once, in the whole process; more are UNAVAILABLE
            # timeouts: {connect: 1s}

        # What goes where. The most specific match wins, whatever the order.
        routes:
          - name: \(name)
        \(matches)    backends: [{upstream: \(name)}]
            # timeout: 5s                # the shorter of this and the caller's own deadline holds
            # message_limits: {request: 4MiB, response: 4MiB}

        # Who may call what. It has to be said: allow or deny.
        access:
          default: allow

        # Metrics for Prometheus, /live and /ready.
        \(metrics)

        # `weir status`, `weir check --diff`: a socket for Weir's own user and root.
        admin: {address: "unix:weir-admin.sock"}

        # A line for each call.
        access_log: {file: stdout}       # or a path; only: errors, sample: 10%

        """
    }

    private var cleartext: String {
        isLocal
            ? ""
            : "    tls: off                     # cleartext is meant: other machines can reach it\n"
    }

    private var matches: String {
        if methods.isEmpty {
            return "    # matches: [{method: pkg.Service/*}]   # without it, everything\n"
        }
        let items = methods.map { "{method: \(quoted($0))}" }
        return "    matches: [\(items.joined(separator: ", "))]\n"
    }

    private var metrics: String {
        guard let descriptors else { return "# metrics: {address: 127.0.0.1:9901}" }
        return "metrics: {address: 127.0.0.1:9901, descriptors: \(quoted(descriptors))}"
    }

    /// Quoted where YAML would read it otherwise.
    private func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy {
            ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x2e && $0 <= 0x3a) || $0 == 0x5f
        }
        if isPlain, text.utf8.first.map({ $0 != 0x3a }) == true { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": escaped += "\\\(scalar)"
            // A variable's sign.
            case "$": escaped += "$$"
            case _ where scalar.value < 0x20:
                escaped += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "\"\(escaped)\""
    }
}
