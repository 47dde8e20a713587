/// The messages of protos/echo.proto, as protobuf writes them.
public struct EchoRequest: Equatable, Sendable {
    public var payload: [UInt8] = []
    public var terms = EchoTerms()

    public init(payload: [UInt8] = [], terms: EchoTerms = EchoTerms()) {
        self.payload = payload
        self.terms = terms
    }

    /// Nil where the bytes are no protobuf message.
    public init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufField.decode(bytes) else { return nil }
        for field in fields {
            switch field.content {
            case .bytes(let bytes) where field.number == 1: payload = bytes
            case .bytes(let bytes) where field.number == 2:
                guard let terms = EchoTerms(bytes) else { return nil }
                self.terms = terms
            default: break
            }
        }
    }

    public var encoded: [UInt8] {
        let terms = terms.encoded
        return ProtobufField.encode(1, payload)
            + (terms.isEmpty ? [] : ProtobufField.encode(2, terms))
    }
}

/// How an echo call is to be answered; see protos/echo.proto.
public struct EchoTerms: Equatable, Sendable {
    public var delayMilliseconds: UInt32 = 0
    public var responseBytes: UInt32 = 0
    public var responseCount: UInt32 = 0
    public var statusCode: UInt32 = 0
    public var statusMessage = ""
    public var failsAtOnce = false
    public var echoesMetadata = false
    public var endsAfter: UInt32 = 0

    public init() {}

    init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufField.decode(bytes) else { return nil }
        for field in fields {
            switch field.content {
            case .number(let value): set(field.number, UInt32(truncatingIfNeeded: value))
            case .bytes(let bytes) where field.number == 5:
                statusMessage = String(decoding: bytes, as: UTF8.self)
            default: break
            }
        }
    }

    private mutating func set(_ number: Int, _ value: UInt32) {
        switch number {
        case 1: delayMilliseconds = value
        case 2: responseBytes = value
        case 3: responseCount = value
        case 4: statusCode = value
        case 6: failsAtOnce = value != 0
        case 7: echoesMetadata = value != 0
        case 8: endsAfter = value
        default: break
        }
    }

    var encoded: [UInt8] {
        let numbers: [(Int, UInt32)] = [
            (1, delayMilliseconds), (2, responseBytes), (3, responseCount), (4, statusCode),
            (6, failsAtOnce ? 1 : 0), (7, echoesMetadata ? 1 : 0), (8, endsAfter),
        ]
        var bytes = ProtobufField.encode(5, Array(statusMessage.utf8))
        for (number, value) in numbers { bytes += ProtobufField.encode(number, UInt64(value)) }
        return bytes
    }
}

public struct EchoResponse: Equatable, Sendable {
    public var payload: [UInt8] = []
    /// Counted from 0 within the call.
    public var index: UInt32 = 0

    public init(payload: [UInt8], index: UInt32) {
        self.payload = payload
        self.index = index
    }

    public init?(_ bytes: [UInt8]) {
        guard let fields = ProtobufField.decode(bytes) else { return nil }
        for field in fields {
            switch field.content {
            case .bytes(let bytes) where field.number == 1: payload = bytes
            case .number(let value) where field.number == 2: index = UInt32(clamping: value)
            default: break
            }
        }
    }

    public var encoded: [UInt8] {
        ProtobufField.encode(1, payload) + ProtobufField.encode(2, UInt64(index))
    }
}

/// A field as protobuf has it on the wire: enough of it for the echo service.
public struct ProtobufField {
    public enum Content { case number(UInt64), bytes([UInt8]), other }

    public let number: Int
    public let content: Content

    /// A default value is not written.
    public static func encode(_ number: Int, _ value: UInt64) -> [UInt8] {
        value == 0 ? [] : varint(UInt64(number) << 3) + varint(value)
    }

    public static func encode(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
        bytes.isEmpty ? [] : varint(UInt64(number) << 3 | 2) + varint(UInt64(bytes.count)) + bytes
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var left = value
        while left > 0x7F {
            bytes.append(UInt8(truncatingIfNeeded: left) | 0x80)
            left >>= 7
        }
        return bytes + [UInt8(left)]
    }

    public static func decode(_ bytes: [UInt8]) -> [ProtobufField]? {
        var rest = bytes[...]
        var fields: [ProtobufField] = []
        while !rest.isEmpty {
            guard let key = takeVarint(&rest) else { return nil }
            let number = Int(clamping: key >> 3)
            switch key & 7 {
            case 0:
                guard let value = takeVarint(&rest) else { return nil }
                fields.append(ProtobufField(number: number, content: .number(value)))
            case 2:
                guard let length = takeVarint(&rest), length <= UInt64(rest.count) else {
                    return nil
                }
                let content = Content.bytes(Array(rest.prefix(Int(length))))
                fields.append(ProtobufField(number: number, content: content))
                rest = rest.dropFirst(Int(length))
            case 1, 5:
                let length = key & 7 == 1 ? 8 : 4
                guard rest.count >= length else { return nil }
                fields.append(ProtobufField(number: number, content: .other))
                rest = rest.dropFirst(length)
            default: return nil
            }
        }
        return fields
    }

    private static func takeVarint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }
}
