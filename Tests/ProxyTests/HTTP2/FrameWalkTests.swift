import Testing

@testable import Proxy

@Suite("Frame headers in a connection's bytes")
struct FrameWalkTests {
    /// Frames of 0, 3, 16,384 and 1 bytes behind a preface of three.
    private static let bytes: [UInt8] = {
        var bytes: [UInt8] = [1, 2, 3]
        for (length, type, id) in [(0, 4, 0), (3, 0, 1), (16_384, 1, 0x7fff_ffff), (1, 3, 0x0102)] {
            bytes += [UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)]
            bytes += [UInt8(type), 8, UInt8(id >> 24) | 0x80, UInt8(id >> 16 & 255)]
            bytes += [UInt8(id >> 8 & 255), UInt8(id & 255)]
            bytes += [UInt8](repeating: 9, count: length)
        }
        return bytes
    }()

    private func walk(in size: Int) -> [FrameWalk.Header] {
        var walk = FrameWalk(prefaceBytes: 3)
        var found: [FrameWalk.Header] = []
        var rest = Self.bytes[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            var index = 0
            while let header = walk.next(part.span, &index) { found.append(header) }
        }
        return found
    }

    @Test(
        "are found however the bytes are cut",
        arguments: [1, 2, 3, 7, 8, 9, 10, 11, 12, 100, 1 << 20])
    func found(_ size: Int) {
        let found = walk(in: size)
        #expect(found.map(\.length) == [0, 3, 16_384, 1])
        #expect(found.map(\.type) == [4, 0, 1, 3])
        #expect(found.map(\.streamID) == [0, 1, 0x7fff_ffff, 0x0102])
        #expect(found.allSatisfy { $0.flags == 8 })
    }

    @Test("say where they begin, which is 0 for one that began before")
    func places() {
        #expect(walk(in: 1 << 20).map(\.start) == [3, 12, 24, 16_417])
        #expect(walk(in: 16).map(\.start) == [3, 0, 0, 1])
    }
}
