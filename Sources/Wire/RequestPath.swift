/// `:path` of a request: which ones Weir takes.
///
/// Nothing is ever normalised. A path that two servers could read in two ways is refused, so that
/// what was decided, logged and forwarded is one and the same string (CVE-2026-33186 is what
/// happens otherwise).
public enum RequestPath {
    public enum Verdict: Equatable, Sendable {
        /// `/pkg.Service/Method` in gRPC's own grammar: `serviceEnd` is the second slash's index.
        case grpc(serviceEnd: Int)
        /// Any other path in origin form, with or without a query.
        case plain
        case refused(Refusal)
    }

    public enum Refusal: UInt8, Equatable, Sendable, CaseIterable {
        case empty, noLeadingSlash, control, space, fragment, highByte, backslash, semicolon
        case emptySegment, dotSegment, badPercent, encodedSeparator, encodedUnreserved

        /// The reason, for logs and answers.
        public var words: StaticString {
            switch self {
            case .empty: "the path is empty"
            case .noLeadingSlash: "the path does not begin with a slash"
            case .control: "the path holds a control character"
            case .space: "the path holds a space"
            case .fragment: "the path holds a #"
            case .highByte: "the path holds a byte outside ASCII"
            case .backslash: "the path holds a backslash"
            case .semicolon: "the path holds a semicolon"
            case .emptySegment: "the path holds two slashes in a row"
            case .dotSegment: "the path holds a segment . or .."
            case .badPercent: "the path holds a % without two hexadecimal digits"
            case .encodedSeparator: "the path holds %2F, %5C or %00"
            case .encodedUnreserved: "the path percent-encodes a letter, a digit or one of - . _ ~"
            }
        }
    }

    /// The grammar of gRPC is `/[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*`. All of a query's
    /// bytes are its own business but for controls, space, `#`, bytes outside ASCII and bad
    /// percents. `*` is refused here as it belongs to OPTIONS alone.
    public static func check(_ path: Span<UInt8>) -> Verdict {
        guard !path.isEmpty else { return .refused(.empty) }
        guard path[0] == slash else { return .refused(.noLeadingSlash) }
        if let serviceEnd = serviceEnd(path) { return .grpc(serviceEnd: serviceEnd) }
        return checkPlain(path)
    }

    private static let slash = UInt8(ascii: "/")

    /// The second slash's index, if all of `path`, which begins with a slash, is in gRPC's grammar.
    @inline(__always)
    private static func serviceEnd(_ path: Span<UInt8>) -> Int? {
        let count = path.count
        guard count > 1, ByteSet.nameStart.contains(path[1]) else { return nil }
        var end: Int?
        var start = 0
        while start < count {
            let left = count &- start
            var marks: UInt64
            if left >= 8 {
                marks = ByteSet.outsideName(path.word(at: start))
            } else {
                // What follows the last bytes counts for nothing.
                let beyond = UInt64.max &>> UInt64(truncatingIfNeeded: 8 &* left)
                marks = ByteSet.outsideName(path.lastBytes(left)) & ~beyond
            }
            if start == 0 { marks &= 0x00ff_ffff_ffff_ffff }
            while marks != 0 {
                let mark = marks.leadingZeroBitCount
                let index = start &+ mark &>> 3
                marks &= ~(0x8000_0000_0000_0000 &>> UInt64(truncatingIfNeeded: mark))
                guard end == nil else { return nil }
                switch path[index] {
                case UInt8(ascii: "."): continue
                case slash: end = index
                default: return nil
                }
            }
            start &+= 8
        }
        guard let end, end &+ 1 < count, ByteSet.nameStart.contains(path[end &+ 1]) else {
            return nil
        }
        return end
    }

    private static func checkPlain(_ path: Span<UInt8>) -> Verdict {
        let count = path.count
        var index = 1
        var segmentStart = 1
        while index < count {
            let byte = path[index]
            if ByteSet.plainPath.contains(byte) || byte == UInt8(ascii: ".") {
                index &+= 1
                continue
            }
            switch byte {
            case slash:
                if index == segmentStart { return .refused(.emptySegment) }
                if isDots(path, segmentStart, index) { return .refused(.dotSegment) }
                segmentStart = index + 1
                index += 1
            case UInt8(ascii: "%"):
                if let refusal = checkEncoded(path, index) { return .refused(refusal) }
                index += 3
            case UInt8(ascii: "?"):
                if isDots(path, segmentStart, index) { return .refused(.dotSegment) }
                return checkQuery(path, from: index + 1)
            default:
                return .refused(reason(byte))
            }
        }
        return isDots(path, segmentStart, count) ? .refused(.dotSegment) : .plain
    }

    private static func checkQuery(_ path: Span<UInt8>, from start: Int) -> Verdict {
        var index = start
        while index < path.count {
            let byte = path[index]
            if ByteSet.plainQuery.contains(byte) {
                index &+= 1
            } else if byte == UInt8(ascii: "%") {
                guard encodedByte(path, index) != nil else { return .refused(.badPercent) }
                index += 3
            } else {
                return .refused(reason(byte))
            }
        }
        return .plain
    }

    private static func isDots(_ path: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        let dot = UInt8(ascii: ".")
        return switch end - start {
        case 1: path[start] == dot
        case 2: path[start] == dot && path[start + 1] == dot
        default: false
        }
    }

    /// What is wrong with the `%` at `index` of a path, if anything.
    private static func checkEncoded(_ path: Span<UInt8>, _ index: Int) -> Refusal? {
        guard let byte = encodedByte(path, index) else { return .badPercent }
        if ByteSet.unreserved.contains(byte) { return .encodedUnreserved }
        switch byte {
        case 0, slash, UInt8(ascii: "\\"): return .encodedSeparator
        default: return nil
        }
    }

    private static func encodedByte(_ path: Span<UInt8>, _ index: Int) -> UInt8? {
        guard index + 2 < path.count, let high = hexadecimalDigit(path[index + 1]),
            let low = hexadecimalDigit(path[index + 2])
        else { return nil }
        return high << 4 | low
    }

    private static func reason(_ byte: UInt8) -> Refusal {
        switch byte {
        case UInt8(ascii: " "): .space
        case UInt8(ascii: "#"): .fragment
        case UInt8(ascii: "\\"): .backslash
        case UInt8(ascii: ";"): .semicolon
        case 0x80...: .highByte
        default: .control
        }
    }
}
