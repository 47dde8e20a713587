/// A header field; names are lower case. Bytes that are not UTF-8 become U+FFFD.
public struct HeaderField: Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

extension Array where Element == HeaderField {
    /// The value of the first field of that name.
    public func first(_ name: String) -> String? { first { $0.name == name }?.value }
}

/// What a header block is, by its place in its stream (RFC 9113, 8.1).
public enum HeadersKind: Equatable, Sendable { case request, interim, response, trailers }

/// Something a `PeerSession` received, in the order of its arrival.
public enum PeerEvent: Equatable, Sendable {
    /// The other side's SETTINGS: identifiers and values as on the wire.
    case settings([PeerSetting])
    case headers(stream: Int32, HeadersKind, [HeaderField])
    case data(stream: Int32, [UInt8])
    /// END_STREAM: the other side sends nothing more on this stream.
    case end(stream: Int32)
    /// RST_STREAM with its error code.
    case reset(stream: Int32, code: UInt32)
    /// The stream is gone, whoever ended it; 0 where both sides ended it.
    case closed(stream: Int32, code: UInt32)
    case goAway(lastStream: Int32, code: UInt32, debug: [UInt8])
    case ping([UInt8])
    case pingAck([UInt8])
    /// The other side broke the protocol: nghttp2's own error code, and the stream, or 0.
    case invalid(stream: Int32, error: Int32)
    /// nghttp2 answered something by RST_STREAM, or GOAWAY where `stream` is 0, by itself.
    case protested(stream: Int32, code: UInt32)
}

/// One parameter of a SETTINGS frame (RFC 9113, 6.5.2).
public struct PeerSetting: Equatable, Sendable {
    public var identifier: UInt16
    public var value: UInt32

    public init(_ identifier: UInt16, _ value: UInt32) {
        self.identifier = identifier
        self.value = value
    }

    public static func concurrentStreams(_ count: UInt32) -> PeerSetting { .init(3, count) }
    public static func streamWindow(_ bytes: UInt32) -> PeerSetting { .init(4, bytes) }
}

/// Error codes of RST_STREAM and GOAWAY (RFC 9113, 7).
public enum ErrorCode {
    public static let noError: UInt32 = 0
    public static let protocolError: UInt32 = 1
    public static let internalError: UInt32 = 2
    public static let flowControlError: UInt32 = 3
    public static let settingsTimeout: UInt32 = 4
    public static let streamClosed: UInt32 = 5
    public static let frameSizeError: UInt32 = 6
    public static let refusedStream: UInt32 = 7
    public static let cancel: UInt32 = 8
    public static let compressionError: UInt32 = 9
    public static let connectError: UInt32 = 10
    public static let enhanceYourCalm: UInt32 = 11
    public static let inadequateSecurity: UInt32 = 12
}

/// The other side's bytes are not HTTP/2, or nghttp2 ran out of memory.
public struct PeerFailure: Error, Equatable, CustomStringConvertible {
    /// NGHTTP2_ERR_REFUSED_STREAM.
    public static let refusedStream: Int32 = -533
    /// nghttp2's error code, negative.
    public let code: Int32
    public let description: String
}
