/// The gRPC methods that a set of protobuf descriptors declares, as `protoc
/// --descriptor_set_out` writes it: of descriptor.proto's messages only what names them is read.
public struct DescriptorSet: Sendable, Equatable {
    public static let bytesMax = 64 << 20
    public static let methodsMax = 100_000

    public enum ParseError: Error, Equatable {
        case tooLarge, tooManyMethods
        /// The bytes are no protobuf message of that form.
        case malformed
    }

    /// `pkg.Service/Method`, sorted.
    public let methods: [String]

    public init(parsing bytes: Span<UInt8>) throws(ParseError) {
        guard bytes.count <= Self.bytesMax else { throw .tooLarge }
        var methods: Set<String> = []
        var files = ProtobufFields()
        while let file = try files.next(1, of: bytes) {
            try Self.addMethods(of: bytes.extracting(file), to: &methods)
        }
        self.methods = methods.sorted()
    }

    /// FileDescriptorProto: package = 2, service = 6.
    private static func addMethods(
        of file: Span<UInt8>, to methods: inout Set<String>
    ) throws(ParseError) {
        let package = try text(2, of: file)
        var services = ProtobufFields()
        while let range = try services.next(6, of: file) {
            // ServiceDescriptorProto: name = 1, method = 2; MethodDescriptorProto: name = 1.
            let service = file.extracting(range)
            let name = try (package.isEmpty ? "" : package + ".") + text(1, of: service)
            var list = ProtobufFields()
            while let method = try list.next(2, of: service) {
                methods.insert(try name + "/" + text(1, of: service.extracting(method)))
                guard methods.count <= methodsMax else { throw .tooManyMethods }
            }
        }
    }

    /// A field's last value.
    private static func text(
        _ number: UInt64, of message: Span<UInt8>
    ) throws(ParseError) -> String {
        var fields = ProtobufFields()
        var text = ""
        while let range = try fields.next(number, of: message) {
            let bytes = message.extracting(range)
            text = String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
        }
        return text
    }
}

/// Goes through a message's fields: each is a key, then a number, or so many bytes, or four or
/// eight of them.
private struct ProtobufFields {
    private var index = 0

    /// Where the next field with that number has its bytes; nil at the end.
    mutating func next(
        _ number: UInt64, of message: Span<UInt8>
    ) throws(DescriptorSet.ParseError) -> Range<Int>? {
        while index < message.count {
            let key = try varint(message)
            let start: Int
            switch key & 7 {
            case 0:
                _ = try varint(message)
                continue
            case 1: start = try skip(8, message)
            case 2: start = try skip(varint(message), message)
            case 5: start = try skip(4, message)
            default: throw .malformed
            }
            if key >> 3 == number, key & 7 == 2 { return start..<index }
        }
        return nil
    }

    /// Gives where the skipped bytes begin.
    private mutating func skip(
        _ count: UInt64, _ message: Span<UInt8>
    ) throws(DescriptorSet.ParseError) -> Int {
        guard count <= UInt64(message.count - index) else { throw .malformed }
        defer { index += Int(count) }
        return index
    }

    private mutating func varint(
        _ message: Span<UInt8>
    ) throws(DescriptorSet.ParseError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard index < message.count else { throw .malformed }
            let byte = message[index]
            index += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed
    }
}
