import Testing

@testable import Wire

/// Bytes looked at eight at a time must be seen as they would be one by one.
@Suite struct WordTests {
    /// Bytes that differ in every position.
    private static func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 0xa1) }
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    @Test("at most eight bytes are one number, the last as the lowest", arguments: 0...8)
    func shortWord(count: Int) {
        let bytes = Self.bytes(count)
        let word = bytes.span.shortWord()
        #expect(word == Self.number(bytes))
    }

    @Test("a word is the eight bytes from its start on", arguments: 0...9)
    func word(start: Int) {
        let bytes = Self.bytes(17)
        let word = bytes.span.word(at: start)
        #expect(word == Self.number(bytes[start..<(start + 8)]))
    }

    @Test("the last bytes stand in front, with nothing behind them", arguments: 1...20)
    func lastBytes(count: Int) {
        let bytes = Self.bytes(count)
        for left in 0...min(count, 7) {
            let word = bytes.span.lastBytes(left)
            let padded = bytes.suffix(left) + [UInt8](repeating: 0, count: 8 - left)
            #expect(word == Self.number(padded), "the last \(left) of \(count)")
        }
    }

    @Test("each of eight bytes is told to be in a name or not, whatever its neighbours are")
    func outsideName() {
        for byte in UInt8.min...UInt8.max {
            for neighbour in [0x00, 0x2f, 0x5f, 0x61, 0x7a, 0x7f, 0x80, 0xff] as [UInt8] {
                for place in 0..<8 {
                    var bytes = [UInt8](repeating: neighbour, count: 8)
                    bytes[place] = byte
                    let marks = ByteSet.outsideName(Self.number(bytes))
                    let isMarked = marks &>> UInt64(63 - place * 8) & 1 != 0
                    #expect(isMarked == !ByteSet.name.contains(byte), "\(bytes)")
                }
            }
        }
    }

    @Test("gRPC's grammar holds for paths of every length, with every byte at every place")
    func grammarEverywhere() {
        for count in 2...26 {
            let path = Array("/pkg.Service_1/Method_22Ab".utf8.prefix(count))
            for place in path.indices {
                for byte in [
                    0x00, 0x2e, 0x2f, 0x30, 0x3f, 0x40, 0x5a, 0x5b, 0x5f, 0x60, 0x7b, 0xe1,
                ]
                    as [UInt8]
                {
                    var changed = path
                    changed[place] = byte
                    let verdict = RequestPath.check(changed.span)
                    #expect(Self.serviceEnd(verdict) == Self.serviceEnd(changed), "\(changed)")
                }
            }
        }
    }

    private static func serviceEnd(_ verdict: RequestPath.Verdict) -> Int? {
        if case .grpc(let end) = verdict { end } else { nil }
    }

    /// The grammar once more, byte by byte.
    private static func serviceEnd(_ path: [UInt8]) -> Int? {
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].isEmpty, let service = parts[1].first,
            let method = parts[2].first, ByteSet.nameStart.contains(service),
            ByteSet.nameStart.contains(method),
            parts[1].allSatisfy({ ByteSet.dottedName.contains($0) }),
            parts[2].allSatisfy({ ByteSet.name.contains($0) })
        else { return nil }
        return parts[1].count + 1
    }
}
