/// The fields of a protobuf message, one after the other ("Encoding", protobuf.dev). Reads only
/// what is asked for, copies nothing, and takes no more steps than there are bytes.
public struct ProtobufReader {
    public enum Content {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
        /// Of a fixed size.
        case other
    }

    public struct Field {
        public let number: UInt64
        public let content: Content
    }

    public enum Step {
        case field(Field)
        case end
        /// No protobuf, or cut off; groups, which nobody writes any more, count as that.
        case malformed
    }

    private var rest: ArraySlice<UInt8>

    public init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    public mutating func next() -> Step {
        if rest.isEmpty { return .end }
        guard let key = varint(), key >> 3 > 0 else { return .malformed }
        switch key & 7 {
        case 0:
            guard let value = varint() else { return .malformed }
            return .field(Field(number: key >> 3, content: .number(value)))
        case 2:
            guard let count = varint(), count <= UInt64(rest.count) else { return .malformed }
            let bytes = rest.prefix(Int(count))
            rest = rest.dropFirst(Int(count))
            return .field(Field(number: key >> 3, content: .bytes(bytes)))
        case 1, 5:
            let count = key & 7 == 1 ? 8 : 4
            guard rest.count >= count else { return .malformed }
            rest = rest.dropFirst(count)
            return .field(Field(number: key >> 3, content: .other))
        default: return .malformed
        }
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            // Of the tenth byte one bit is left.
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7f) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }
}
