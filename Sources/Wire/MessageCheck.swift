/// Holds one side's message to RFC 9113, 8.1 to 8.3, while it arrives: which fields it has and in
/// which order, what they are made of, and that its body is as long as content-length says.
///
/// A malformed message ends its stream with PROTOCOL_ERROR (RFC 9113, 8.1.1) and is never passed
/// on. nghttp2 could do the same; it looks at each byte by itself, which costs a tenth of a call,
/// and has no words for what it found. What is beyond these rules (hosts, paths, gRPC's own
/// fields) is `RequestCheck`'s.
public struct MessageCheck: BitwiseCopyable, Sendable {
    public enum Verdict: Sendable {
        case fine
        /// Has no place there, and does no harm: it is not passed on.
        case dropped
        /// `fault` says why.
        case malformed
    }

    /// A bit for each pseudo-header and `host` that came, at its token's number, and one for any
    /// regular field.
    private var seen: UInt8 = 0
    public private(set) var fault: Fault?
    /// What content-length says; -1 where it says nothing.
    private var declaredBytes: Int64 = -1

    public init() {}

    // MARK: Fields

    @inline(__always)
    private static func bit(_ token: HeaderToken) -> UInt64 { 1 &<< UInt64(token.rawValue) }

    private static var regular: UInt8 { 1 }

    /// Tokens of which more is asked than a well-formed value.
    private static var special: UInt64 {
        pseudo | bit(.host) | bit(.contentLength) | bit(.te) | bit(.connection) | bit(.keepAlive)
            | bit(.proxyConnection) | bit(.transferEncoding) | bit(.upgrade)
    }

    private static var pseudo: UInt64 {
        bit(.authority) | bit(.method) | bit(.path) | bit(.scheme) | bit(.status)
            | bit(.protocolName)
    }

    /// Tokens that do not stand for one name.
    private static var families: UInt64 {
        bit(.other) | bit(.weirAssertion) | bit(.tokenAssertion) | bit(.proxyOther)
    }

    /// A field of a request's header block.
    public mutating func requestField(
        _ token: HeaderToken, _ name: Span<UInt8>, _ value: Span<UInt8>
    ) -> Verdict {
        guard Self.special & Self.bit(token) == 0 else { return specialRequestField(token, value) }
        seen |= Self.regular
        return wellFormed(token, name, value)
    }

    /// A field of a response's header block; `status` is 0 until `:status` came.
    public mutating func responseField(
        _ token: HeaderToken, _ name: Span<UInt8>, _ value: Span<UInt8>, status: UInt16
    ) -> Verdict {
        guard Self.special & Self.bit(token) == 0 else {
            return specialResponseField(token, value, status)
        }
        seen |= Self.regular
        return wellFormed(token, name, value)
    }

    /// A field of either side's trailers.
    public mutating func trailer(
        _ token: HeaderToken, _ name: Span<UInt8>, _ value: Span<UInt8>
    ) -> Verdict {
        if Self.special & Self.bit(token) == 0 { return wellFormed(token, name, value) }
        if token.isPseudo { return found(.pseudo) }
        // RFC 9110, 6.5.1: what frames a message has no place behind it.
        if token == .contentLength || token == .host { return found(.trailer) }
        return specialField(token, value)
    }

    @inline(__always)
    private mutating func wellFormed(
        _ token: HeaderToken, _ name: Span<UInt8>, _ value: Span<UInt8>
    ) -> Verdict {
        guard FieldSyntax.isValue(value) else { return found(.value) }
        if Self.families & Self.bit(token) == 0 || FieldSyntax.isName(name) { return .fine }
        // An unknown pseudo-header is no name either.
        return found(!name.isEmpty && name[0] == UInt8(ascii: ":") ? .pseudo : .name)
    }

    private mutating func specialRequestField(
        _ token: HeaderToken, _ value: Span<UInt8>
    ) -> Verdict {
        guard token.isPseudo else {
            seen |= Self.regular
            return specialField(token, value)
        }
        guard isNext(token) else { return found(.pseudo) }
        switch token {
        case .authority, .path:
            if value.isEmpty { return found(.pseudo) }
            return FieldSyntax.isValue(value) ? .fine : found(.value)
        case .method: return FieldSyntax.isMethod(value) ? .fine : found(.method)
        case .scheme: return FieldSyntax.isScheme(value) ? .fine : found(.scheme)
        default: return found(.pseudo)
        }
    }

    private mutating func specialResponseField(
        _ token: HeaderToken, _ value: Span<UInt8>, _ status: UInt16
    ) -> Verdict {
        if token.isPseudo {
            guard token == .status, isNext(token) else { return found(.pseudo) }
            return Self.isStatus(value) ? .fine : found(.status)
        }
        seen |= Self.regular
        if token == .host { return FieldSyntax.isValue(value) ? .fine : found(.value) }
        guard token == .contentLength, status < 200 || status == 204 else {
            return specialField(token, value)
        }
        // RFC 9110, 8.6: neither has a body to count.
        guard status == 204, declaredBytes < 0, value.count == 1, value[0] == UInt8(ascii: "0")
        else { return found(.contentLength) }
        declaredBytes = 0
        return .dropped
    }

    private mutating func specialField(_ token: HeaderToken, _ value: Span<UInt8>) -> Verdict {
        switch token {
        case .host:
            let bit = UInt8(truncatingIfNeeded: Self.bit(.host))
            guard seen & bit == 0 else { return found(.host) }
            seen |= bit
            return FieldSyntax.isValue(value) ? .fine : found(.value)
        case .contentLength:
            guard declaredBytes < 0, let count = ContentLength.parse(value) else {
                return found(.contentLength)
            }
            declaredBytes = count
            return .fine
        // RFC 9113, 8.2.2: what HTTP/1.1 says of a connection, of which one thing may be said.
        case .te: return Self.isTrailers(value) ? .fine : found(.connection)
        default: return found(.connection)
        }
    }

    /// Notes a pseudo-header; false where it is repeated or comes behind a regular field.
    private mutating func isNext(_ token: HeaderToken) -> Bool {
        let bit = UInt8(truncatingIfNeeded: Self.bit(token))
        guard seen & (Self.regular | bit) == 0 else { return false }
        seen |= bit
        return true
    }

    /// `trailers`, in either case.
    private static func isTrailers(_ value: Span<UInt8>) -> Bool {
        value.count == 8 && value.word(at: 0) | 0x2020_2020_2020_2020 == 0x7472_6169_6c65_7273
    }

    /// Three digits from 100 on, but 101, which HTTP/2 does not have (RFC 9113, 8.6).
    private static func isStatus(_ value: Span<UInt8>) -> Bool {
        guard value.count == 3, let status = Decimal.parse(value) else { return false }
        return status >= 100 && status != 101
    }

    // MARK: What is whole

    /// A request's header block has ended; false where it lacks something (RFC 9113, 8.3.1 and
    /// 8.5).
    public mutating func requestBlockEnded(isConnect: Bool) -> Bool {
        let seen = UInt64(seen)
        let target = Self.bit(.scheme) | Self.bit(.path)
        let isWhole =
            isConnect
            ? seen & target == 0 && seen & Self.bit(.authority) != 0
            : seen & target == target && seen & Self.bit(.method) != 0
                && seen & (Self.bit(.authority) | Self.bit(.host)) != 0
        return isWhole || broken(.incomplete)
    }

    /// A response's header block has ended; false where it is malformed. Behind a 1xx response
    /// another block begins.
    public mutating func responseBlockEnded(status: UInt16, isEnd: Bool, isHead: Bool) -> Bool {
        guard UInt64(seen) & Self.bit(.status) != 0 else { return broken(.incomplete) }
        if status < 200 {
            self = MessageCheck()
            return !isEnd || broken(.interimEnd)
        }
        if isHead || status == 204 || status == 304 { declaredBytes = 0 }
        return true
    }

    /// Trailers have ended, and with them the message.
    public mutating func trailersEnded(isEnd: Bool) -> Bool { isEnd || broken(.trailersGoOn) }

    /// Some of the body came, of which there is so much now.
    public mutating func bodyReceived(_ byteCount: Int64) -> Bool {
        declaredBytes < 0 || byteCount <= declaredBytes || broken(.bodyLength)
    }

    /// The message has ended behind so many bytes of body.
    public mutating func ended(_ byteCount: Int64) -> Bool {
        declaredBytes < 0 || byteCount == declaredBytes || broken(.bodyLength)
    }

    /// The body began before the headers, or between a 1xx response and what follows it.
    public mutating func bodyCameFirst() { fault = .bodyFirst }

    private mutating func found(_ fault: Fault) -> Verdict {
        self.fault = fault
        return .malformed
    }

    private mutating func broken(_ fault: Fault) -> Bool {
        self.fault = fault
        return false
    }
}

extension MessageCheck {
    /// What is wrong with a message.
    public enum Fault: BitwiseCopyable, Sendable, CaseIterable {
        case name, value, pseudo, method, scheme, status, host, contentLength, connection, trailer
        case incomplete, interimEnd, trailersGoOn, bodyLength, bodyFirst

        public var words: StaticString {
            switch self {
            case .name: "a field's name is no token in lower case"
            case .value: "a field's value has a control character, or a space at an end"
            case .pseudo: "a pseudo-header is empty, unknown, repeated or out of place"
            case .method: ":method is no token"
            case .scheme: ":scheme is no scheme"
            case .status: ":status is none of HTTP/2's"
            case .host: "host is repeated"
            case .contentLength: "content-length is repeated, no number or out of place"
            case .connection: "a field speaks of an HTTP/1.1 connection"
            case .trailer: "the trailers have a field that belongs before them"
            case .incomplete: "a pseudo-header is missing"
            case .interimEnd: "an interim response ends the stream"
            case .trailersGoOn: "the trailers do not end the stream"
            case .bodyLength: "the body is not as long as content-length says"
            case .bodyFirst: "the body comes before the headers"
            }
        }
    }
}
