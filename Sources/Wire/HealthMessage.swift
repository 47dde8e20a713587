/// The messages of protos/health.proto, in gRPC's framing: a flag, four bytes of length, the bytes.
public enum HealthMessage {
    /// Of a request, its prefix counted: a service's name is shorter.
    public static let requestBytesMax = 1_024
    private static let prefixBytes = 5

    public enum Status: UInt8, Sendable {
        case serving = 1
        case notServing, serviceUnknown
    }

    public enum Method: Sendable {
        case check, watch

        public init?(path: Span<UInt8>) {
            if Self.isSame(path, "/grpc.health.v1.Health/Check") {
                self = .check
            } else if Self.isSame(path, "/grpc.health.v1.Health/Watch") {
                self = .watch
            } else {
                return nil
            }
        }

        private static func isSame(_ path: Span<UInt8>, _ text: StaticString) -> Bool {
            let bytes = Array("\(text)".utf8)
            return path.count == bytes.count && bytes.indices.allSatisfy { path[$0] == bytes[$0] }
        }
    }

    public static func isCompressed(_ body: [UInt8]) -> Bool {
        body.count >= prefixBytes && body[0] == 1
    }

    /// The service that a request asks about; nil where it is no single, uncompressed request.
    public static func service(_ body: [UInt8]) -> [UInt8]? {
        guard body.count >= prefixBytes, body.count <= requestBytesMax, body[0] == 0 else {
            return nil
        }
        let length = body[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) }
        guard body.count == prefixBytes + length else { return nil }
        var reader = ProtobufReader(body[prefixBytes...])
        var service: [UInt8] = []
        while true {
            switch reader.next() {
            case .end: return service
            case .malformed: return nil
            case .field(let field):
                if field.number == 1, case .bytes(let bytes) = field.content {
                    service = Array(bytes)
                }
            }
        }
    }

    public static func response(_ status: Status) -> [UInt8] {
        [0, 0, 0, 0, 2, 8, status.rawValue]
    }
}
