import GRPCCore
import GRPCNIOTransportHTTP2Posix

/// `grpc-echo serve` serves protos/echo.proto on a free port of loopback, which it prints;
/// `grpc-echo call PORT CHECK...` makes calls and says for each check whether it held.
@main
enum GRPCEcho {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "serve" {
            try await serve()
        } else if arguments.first == "call",
            let port = arguments.dropFirst().first.flatMap(Int.init)
        {
            try await call(port: port, names: arguments.dropFirst(2))
        } else {
            print("usage: grpc-echo serve | grpc-echo call PORT CHECK...")
        }
    }

    private static func serve() async throws {
        let server = GRPCServer(
            transport: .http2NIOPosix(
                address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext,
                config: .defaults { config in
                    config.rpc.maxRequestPayloadSize = 64 << 20
                    config.compression.enabledAlgorithms = .all
                }),
            services: [EchoService()])
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await server.serve() }
            if let port = try await server.listeningAddress?.ipv4?.port {
                print("listening \(port)")
            }
        }
    }

    private static func call(port: Int, names: ArraySlice<String>) async throws {
        try await withGRPCClient(
            transport: .http2NIOPosix(
                target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext,
                config: .defaults { $0.compression.enabledAlgorithms = .all })
        ) { client in
            let checks = Checks(echo: Weir_Echo_V1_Echo.Client(wrapping: client))
            for name in names {
                guard let check = Checks.all[name] else {
                    print("failed \(name): there is no such check")
                    continue
                }
                do {
                    try await check(checks)
                    print("ok \(name)")
                } catch {
                    print("failed \(name): \(error)")
                }
            }
        }
    }
}
