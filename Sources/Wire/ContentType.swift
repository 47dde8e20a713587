/// content-type, as far as Weir cares.
public enum ContentType {
    /// True for `application/grpc`, `application/grpc+...` and `application/grpc;...`; false for
    /// `application/grpc-web`, which is another protocol, and for spellings in other case, which
    /// servers do not agree on.
    public static func isGRPC(_ value: Span<UInt8>) -> Bool {
        let count = value.count
        guard count >= 16 else { return false }
        // "applicat" and "ion/grpc".
        let head = value.word(at: 0)
        let tail = value.word(at: 8)
        guard head == 0x6170_706c_6963_6174, tail == 0x696f_6e2f_6772_7063 else { return false }
        return count == 16 || value[16] == UInt8(ascii: "+") || value[16] == UInt8(ascii: ";")
    }
}
