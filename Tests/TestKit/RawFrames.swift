/// Frames of honest peers (RFC 9113, 6), so that what is made up comes further than the first
/// mistake. Header blocks have every field spelt out (RFC 7541, 6.2.2), and change no table.
enum RawFrames {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let settings = frame(4, 0, 0, [])

    static func frame(_ kind: UInt8, _ flags: UInt8, _ stream: Int32, _ payload: [UInt8]) -> [UInt8]
    {
        let count = payload.count
        return [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255), kind, flags]
            + word(UInt32(bitPattern: stream)) + payload
    }

    static func word(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
    }

    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { RawField($0, $1).literal }
    }

    private static let get = block([
        (":method", "GET"), (":scheme", "http"), (":path", "/files/a"), (":authority", "a.test"),
    ])
    private static let post = block([
        (":method", "POST"), (":scheme", "http"), (":path", "/files/b"), (":authority", "a.test"),
        ("content-length", "5"),
    ])
    private static let grpc = block([
        (":method", "POST"), (":scheme", "http"), (":path", "/weir.echo.v1.Echo/Unary"),
        (":authority", "a.test"), ("te", "trailers"), ("content-type", "application/grpc"),
    ])
    private static let timed = block([
        (":method", "POST"), (":scheme", "http"), (":path", "/weir.echo.v1.Echo/Unary"),
        (":authority", "a.test"), ("te", "trailers"), ("content-type", "application/grpc"),
        ("grpc-timeout", "50m"), ("x-retry", "1"),
    ])
    static let message: [UInt8] = [0, 0, 0, 0, 5, 1, 2, 3, 4, 5]

    /// What a client says by a number, on the stream that it opens or has opened last.
    static func ofClient(_ number: Int, _ stream: Int32) -> [UInt8] {
        switch number % 16 {
        case 0: frame(1, 5, stream, get)
        case 1: frame(1, 4, stream, post) + frame(0, 1, stream, [1, 2, 3, 4, 5])
        case 2: frame(1, 4, stream, grpc) + frame(0, 1, stream, message)
        case 3: frame(1, 4, stream, grpc)
        case 4: frame(1, 4, stream, timed) + frame(0, 0, stream, message)
        case 5: frame(1, 4, stream, post)
        case 6: frame(0, 0, stream, message)
        case 7: frame(0, 1, stream, message)
        case 8: frame(3, 0, stream, word(8))
        case 9: frame(8, 0, stream, word(1_000)) + frame(8, 0, 0, word(1_000))
        case 10: frame(4, 1, 0, [])
        case 11: frame(6, 0, 0, Array("weirtest".utf8))
        case 12: frame(4, 0, 0, [0, 4] + word(UInt32(number)))
        case 13: frame(1, 5, stream, block([("x-trailer", "1")]))
        case 14: frame(7, 0, 0, word(0) + word(0))
        default: frame(0, 0, stream, [UInt8](repeating: 7, count: 16_384))
        }
    }

    /// What a server says by a number, on a stream that Weir has opened.
    static func ofServer(_ number: Int, _ stream: Int32) -> [UInt8] {
        let ok = block([(":status", "200"), ("content-type", "application/grpc")])
        let done = block([("grpc-status", "0")])
        let failed = block([
            (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14"),
        ])
        return switch number % 16 {
        case 0: frame(1, 4, stream, ok) + frame(0, 0, stream, message) + frame(1, 5, stream, done)
        case 1: frame(1, 5, stream, failed)
        case 2: frame(1, 4, stream, ok)
        case 3: frame(0, 0, stream, message)
        case 4: frame(1, 5, stream, done)
        case 5: frame(1, 4, stream, block([(":status", "100")]))
        case 6: frame(3, 0, stream, word(7))
        case 7: frame(3, 0, stream, word(UInt32(number)))
        case 8: frame(7, 0, 0, word(UInt32(bitPattern: Int32.max)) + word(0))
        case 9: frame(7, 0, 0, word(0) + word(0))
        case 10: frame(4, 1, 0, [])
        case 11: frame(6, 1, 0, Array("weirtest".utf8))
        case 12: frame(4, 0, 0, [0, 3] + word(UInt32(number >> 4)))
        case 13: frame(1, 4, stream, block([(":status", "200"), ("content-length", "10")]))
        case 14: frame(8, 0, stream, word(100_000)) + frame(8, 0, 0, word(100_000))
        default: frame(0, 1, stream, [UInt8](repeating: 7, count: 1_000))
        }
    }
}
