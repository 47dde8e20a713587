import Testing

@testable import Proxy

@Suite struct EscapingTests {
    @Test("each byte at each place of a text is escaped where JSON asks for that")
    func bytes() {
        let line = LineBuffer(capacity: 256)
        for count in [1, 7, 8, 9, 16, 19] {
            for place in 0..<count {
                for byte in UInt8.min..<0x80 {
                    var text = [UInt8](repeating: UInt8(ascii: "a"), count: count)
                    text[place] = byte
                    line.appendQuoted(text.span)
                    let isSpecial = byte < 0x20 || byte == 0x7f || [0x22, 0x5c].contains(byte)
                    let written = line.takeText()
                    #expect(written.contains("\\") == isSpecial, "\(byte) at \(place): \(written)")
                    #expect(!written.utf8.contains { $0 < 0x20 || $0 == 0x7f })
                }
            }
        }
    }
}
