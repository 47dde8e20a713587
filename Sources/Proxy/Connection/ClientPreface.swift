/// Tells HTTP/2's connection preface (RFC 9113, 3.4) from what other clients begin with, however
/// its bytes are cut into reads. Performs no I/O.
///
///     undecided -> http2 | http1 | tls | unknown
///
/// A peer's error: anything but `http2`. Ignored: whatever comes once that is decided.
struct ClientPreface {
    enum Verdict: Equatable {
        /// The preface so far, which nghttp2 may have; it is not whole.
        case begun
        /// Something else that has no name yet; nghttp2 must not have it.
        case undecided
        case http2
        /// A request line of HTTP/1; to HEAD an answer has no body.
        case http1(isHead: Bool)
        /// A ClientHello (RFC 8446, 5.1).
        case tls
        /// nghttp2 knows what to say to it.
        case unknown
    }

    private static let whole: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    /// No method is longer that anybody uses.
    private static let bytesMax = 24
    private static let handshake: UInt8 = 22
    private static let version: UInt8 = 3

    private var bytes = InlineArray<24, UInt8>(repeating: 0)
    private var count = 0
    private(set) var verdict = Verdict.begun

    /// What speaks gets no answer in HTTP/2.
    var isRefused: Bool {
        switch verdict {
        case .http1, .tls: true
        default: false
        }
    }

    private var isDecided: Bool { verdict != .begun && verdict != .undecided }

    /// The connection's next bytes.
    mutating func received(_ more: Span<UInt8>) -> Verdict {
        guard !isDecided else { return verdict }
        for index in more.indices where count < Self.bytesMax {
            bytes[count] = more[index]
            count += 1
        }
        verdict = judged()
        return verdict
    }

    private func judged() -> Verdict {
        let whole = ByteView(Self.whole)
        if (0..<count).allSatisfy({ bytes[$0] == whole[$0] }) {
            return count == whole.count ? .http2 : .begun
        }
        if bytes[0] == Self.handshake {
            if count == 1 { return .undecided }
            return bytes[1] == Self.version ? .tls : .unknown
        }
        for index in 0..<count {
            if bytes[index] == UInt8(ascii: " "), index > 0 {
                guard index + 1 < count else { break }
                guard bytes[index + 1].beginsTarget else { return .unknown }
                let head = ByteView("HEAD ")
                let isHead = index == 4 && (0..<4).allSatisfy { bytes[$0] == head[$0] }
                return .http1(isHead: isHead)
            }
            guard bytes[index].isMethod else { return .unknown }
        }
        return count < Self.bytesMax ? .undecided : .unknown
    }
}

extension UInt8 {
    /// Methods are case-sensitive, and registered ones are letters and hyphens (RFC 9110, 16.1).
    fileprivate var isMethod: Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) || self == UInt8(ascii: "-")
    }

    /// A path, `*`, a scheme, or CONNECT's host (RFC 9112, 3.2), in the case that clients use.
    fileprivate var beginsTarget: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self)
            || (UInt8(ascii: "/")...UInt8(ascii: "9")).contains(self)
            || self == UInt8(ascii: "*") || self == UInt8(ascii: "[")
    }
}
