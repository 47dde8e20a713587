/// What happened, in order: a digest of everything and the last lines in full.
public final class Trace {
    public struct Line {
        public let time: Int64
        public let what: StaticString
        public let numbers: (Int, Int, Int)
    }

    /// Two runs of one seed must agree on it.
    public private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    public private(set) var count = 0
    private var lines: [Line] = []
    private var oldest = 0
    private let capacity: Int

    public init(keeping capacity: Int = 4000) { self.capacity = max(1, capacity) }

    public func note(
        _ time: Int64, _ what: StaticString, _ first: Int = 0, _ second: Int = 0, _ third: Int = 0
    ) {
        count += 1
        mix(UInt64(bitPattern: time))
        mix(UInt64(what.utf8CodeUnitCount))
        for number in [first, second, third] { mix(UInt64(bitPattern: Int64(number))) }
        let line = Line(time: time, what: what, numbers: (first, second, third))
        if lines.count < capacity {
            lines.append(line)
        } else {
            lines[oldest] = line
            oldest = (oldest + 1) % capacity
        }
    }

    /// Adds bytes that crossed the seam to the digest.
    public func note(bytes: RawSpan) {
        var offset = 0
        while offset + 8 <= bytes.byteCount {
            mix(unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        while offset < bytes.byteCount {
            mix(UInt64(unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)))
            offset += 1
        }
    }

    /// The last lines: microseconds, what, three numbers.
    public var tail: String {
        var text = ""
        for index in lines.indices {
            let line = lines[(oldest + index) % lines.count]
            let numbers = "\(line.numbers.0) \(line.numbers.1) \(line.numbers.2)"
            text += "\(line.time / 1000)us \(line.what) \(numbers)\n"
        }
        return text
    }

    private func mix(_ word: UInt64) {
        digest = (digest ^ word) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 29
    }
}
