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

    /// What a response says; nil where it is no single, uncompressed response with a known status.
    public static func status(_ body: [UInt8]) -> Status? {
        guard body.count >= prefixBytes, body[0] == 0 else { return nil }
        let length = body[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) }
        guard body.count == prefixBytes + length else { return nil }
        var reader = ProtobufReader(body[prefixBytes...])
        var status: Status?
        while true {
            switch reader.next() {
            case .end: return status
            case .malformed: return nil
            case .field(let field):
                guard field.number == 1, case .number(let number) = field.content else { continue }
                status = UInt8(exactly: number).flatMap(Status.init)
            }
        }
    }

    public static func request(_ service: [UInt8]) -> [UInt8] {
        var message: [UInt8] = []
        if !service.isEmpty {
            message.append(10)
            var count = service.count
            while count >= 0x80 {
                message.append(UInt8(count & 0x7f) | 0x80)
                count >>= 7
            }
            message.append(UInt8(count))
            message += service
        }
        let length = UInt32(message.count)
        return [0] + stride(from: 24, through: 0, by: -8).map { UInt8(length >> $0 & 0xff) }
            + message
    }

    public static func response(_ status: Status) -> [UInt8] {
        [0, 0, 0, 0, 2, 8, status.rawValue]
    }
}
