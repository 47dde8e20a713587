import Testing
import Wire

@Suite struct ProtobufReaderTests {
    private static func read(_ bytes: [UInt8]) -> String {
        var reader = ProtobufReader(bytes[...])
        var words: [String] = []
        while true {
            switch reader.next() {
            case .end: return words.joined(separator: " ")
            case .malformed: return (words + ["malformed"]).joined(separator: " ")
            case .field(let field):
                switch field.content {
                case .number(let value): words.append("\(field.number):\(value)")
                case .bytes(let bytes): words.append("\(field.number):\(Array(bytes))")
                case .other: words.append("\(field.number):fixed")
                }
            }
        }
    }

    @Test(
        "fields are read one by one",
        arguments: [
            ([], ""), ([0x08, 0x96, 0x01], "1:150"), ([0x12, 2, 7, 8], "2:[7, 8]"),
            ([0x12, 0], "2:[]"), ([0x0d, 1, 2, 3, 4, 0x08, 1], "1:fixed 1:1"),
            ([0x09, 1, 2, 3, 4, 5, 6, 7, 8], "1:fixed"), ([0x09, 1], "malformed"),
            ([0x08], "malformed"), ([0x08, 0x80], "malformed"), ([0x12, 3, 1, 2], "malformed"),
            ([0x00, 1], "malformed"), ([0x0b], "malformed"), ([0x0c], "malformed"),
            ([0x0f], "malformed"),
            ([0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "1:\(UInt64.max)"),
            ([0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], "malformed"),
            ([0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], "malformed"),
        ] as [([UInt8], String)])
    func fields(_ bytes: [UInt8], _ expected: String) { #expect(Self.read(bytes) == expected) }
}
