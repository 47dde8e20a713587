/// What Weir adds to `via` in requests that it forwards (RFC 9110, 7.6.3), and knows again when
/// they come back: `2 weir-` and 16 hexadecimal digits that no other process has.
///
/// A field that is always the same costs a byte on each connection, after its first request.
@safe
final class HopMarker {
    private static let protocolBytes = 2
    private let start: UnsafeMutablePointer<UInt8>
    private let count: Int

    init(_ instance: UInt64) {
        var text: [UInt8] = Array("2 weir-".utf8)
        for shift in stride(from: 60, through: 0, by: -4) {
            text.append(UInt8.hexadecimal(instance >> UInt64(shift)))
        }
        count = text.count
        unsafe start = .allocate(capacity: text.count)
        for index in text.indices { unsafe start[index] = text[index] }
    }

    deinit { unsafe start.deallocate() }

    /// The field's value; lives as long as the marker.
    var value: ByteView { unsafe ByteView(start, count) }

    /// True where one of the proxies that `via` lists is this one, whatever version it received.
    func isIn(_ via: ByteView) -> Bool {
        let name = unsafe ByteView(start + Self.protocolBytes, count - Self.protocolBytes)
        return name.use { name in
            via.use { via in
                guard via.count >= name.count else { return false }
                return (0...via.count - name.count).contains { offset in
                    name.indices.allSatisfy { via[offset &+ $0] == name[$0] }
                }
            }
        }
    }
}

extension UInt8 {
    /// The digit of a number's lowest four bits.
    @inline(always)
    static func hexadecimal(_ number: UInt64) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: number & 15)
        return digit &+ (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") &- 10)
    }
}
