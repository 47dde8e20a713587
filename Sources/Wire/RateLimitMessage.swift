/// The messages of protos/ratelimit.proto, in gRPC's framing: a flag, four bytes of length, the
/// bytes.
public enum RateLimitMessage {
    public static let path = Array(
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit".utf8)
    /// Of an answer, its prefix counted.
    public static let responseBytesMax = 16 << 10
    /// Fields that an answer may add, each way; more are ignored.
    public static let fieldsMax = 16
    /// No wait that is told is longer: a day, in nanoseconds.
    static let waitMax: Int64 = 86_400_000_000_000
    private static let prefixBytes = 5

    /// One part of what is limited. In this order they are the service's descriptor.
    public struct Entry: Equatable, Sendable {
        public let key: [UInt8]
        public let value: [UInt8]

        public init(key: [UInt8], value: [UInt8]) {
            self.key = key
            self.value = value
        }
    }

    public struct Response: Equatable, Sendable {
        public enum Code: Sendable { case ok, overLimit }

        public var code: Code
        /// Until there is room again, in nanoseconds; 0 where the service does not say.
        public var wait: Int64 = 0
        public var responseFields: [Entry] = []
        public var requestFields: [Entry] = []
    }

    // MARK: Writing

    public static func request(domain: [UInt8], _ entries: [Entry]) -> [UInt8] {
        var descriptor: [UInt8] = []
        for entry in entries {
            var bytes: [UInt8] = []
            append(1, entry.key, to: &bytes)
            append(2, entry.value, to: &bytes)
            append(1, bytes, to: &descriptor)
        }
        var message: [UInt8] = []
        append(1, domain, to: &message)
        append(2, descriptor, to: &message)
        let length = UInt32(clamping: message.count)
        let prefix: [UInt8] =
            [0]
            + stride(from: 24, through: 0, by: -8).map {
                UInt8(truncatingIfNeeded: length >> UInt32($0))
            }
        return prefix + message
    }

    private static func append(_ number: UInt8, _ bytes: [UInt8], to message: inout [UInt8]) {
        message.append(number << 3 | 2)
        var count = bytes.count
        while count >= 0x80 {
            message.append(UInt8(truncatingIfNeeded: count) | 0x80)
            count >>= 7
        }
        message.append(UInt8(truncatingIfNeeded: count))
        message += bytes
    }

    // MARK: Reading

    /// Nil where it is no single, uncompressed answer that says yes or no.
    public static func response(_ body: [UInt8]) -> Response? {
        guard body.count >= prefixBytes, body.count <= responseBytesMax, body[0] == 0 else {
            return nil
        }
        let length = body[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) }
        guard body.count == prefixBytes + length else { return nil }
        var reader = ProtobufReader(body[prefixBytes...])
        var code: UInt64 = 0
        var response = Response(code: .ok)
        while true {
            switch reader.next() {
            case .malformed: return nil
            case .end:
                guard code == 1 || code == 2 else { return nil }
                response.code = code == 1 ? .ok : .overLimit
                return response
            case .field(let field):
                guard read(field, &code, &response) else { return nil }
            }
        }
    }

    private static func read(
        _ field: ProtobufReader.Field, _ code: inout UInt64, _ response: inout Response
    ) -> Bool {
        switch (field.number, field.content) {
        case (1, .number(let number)): code = number
        case (2, .bytes(let bytes)):
            guard let wait = wait(bytes) else { return false }
            response.wait = max(response.wait, wait)
        case (3, .bytes(let bytes)):
            guard let entry = headerValue(bytes) else { return false }
            if response.responseFields.count < fieldsMax { response.responseFields.append(entry) }
        case (4, .bytes(let bytes)):
            guard let entry = headerValue(bytes) else { return false }
            if response.requestFields.count < fieldsMax { response.requestFields.append(entry) }
        default: break
        }
        return true
    }

    /// Of a descriptor that is over its limit; 0 of others. Nil where it cannot be read.
    private static func wait(_ status: ArraySlice<UInt8>) -> Int64? {
        var code: UInt64 = 0
        var duration: ArraySlice<UInt8> = []
        let isRead = forEachField(of: status) { field in
            switch (field.number, field.content) {
            case (1, .number(let number)): code = number
            case (4, .bytes(let bytes)): duration = bytes
            default: break
            }
        }
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        let isTime = forEachField(of: duration) { field in
            guard case .number(let number) = field.content else { return }
            if field.number == 1 { seconds = Int64(bitPattern: number) }
            if field.number == 2 { nanoseconds = Int64(bitPattern: number) }
        }
        guard isRead, isTime else { return nil }
        guard code == 2, seconds >= 0, nanoseconds >= 0 else { return 0 }
        let whole = min(seconds, waitMax / 1_000_000_000) * 1_000_000_000
        return min(waitMax, whole + min(nanoseconds, 999_999_999))
    }

    private static func headerValue(_ bytes: ArraySlice<UInt8>) -> Entry? {
        var key: [UInt8] = []
        var value: [UInt8] = []
        let isRead = forEachField(of: bytes) { field in
            guard case .bytes(let bytes) = field.content else { return }
            if field.number == 1 { key = Array(bytes) }
            // The raw value stands for what is no text.
            if field.number == 2 || field.number == 3, !bytes.isEmpty { value = Array(bytes) }
        }
        return isRead ? Entry(key: key, value: value) : nil
    }

    private static func forEachField(
        of bytes: ArraySlice<UInt8>, _ body: (ProtobufReader.Field) -> Void
    ) -> Bool {
        var reader = ProtobufReader(bytes)
        while true {
            switch reader.next() {
            case .end: return true
            case .malformed: return false
            case .field(let field): body(field)
            }
        }
    }
}
