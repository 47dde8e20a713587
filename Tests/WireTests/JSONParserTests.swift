import Testing

@testable import Wire

@Suite("A strict JSON parser")
struct JSONParserTests {
    @Test(
        "reads every kind of value",
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("\t\r\nfalse", .bool(false)),
            ("0", .integer(0)), ("-0", .integer(0)), ("-12", .integer(-12)),
            ("9223372036854775807", .integer(.max)),
            ("9223372036854775808", .number("9223372036854775808")),
            ("1.0", .number("1.0")), ("1e999", .number("1e999")), ("-1.5E-3", .number("-1.5E-3")),
            (#""""#, .string("")), (#""a\"\\\/\b\f\n\r\t""#, .string("a\"\\/\u{8}\u{c}\n\r\t")),
            (#""\u0041\u00e9\u20AC\ud83d\ude00\u0000""#, .string("A\u{e9}\u{20ac}\u{1f600}\0")),
            ("\"\u{7f}\u{e9}\u{1f600}\"", .string("\u{7f}\u{e9}\u{1f600}")),
            ("[]", .array([])), ("[1, [2] ]", .array([.integer(1), .array([.integer(2)])])),
            ("{}", .object([])),
            (
                #"{"b":1 , "a":{}}"#,
                .object([
                    .init(name: "b", value: .integer(1)), .init(name: "a", value: .object([])),
                ])
            ),
        ] as [(String, JSONValue)])
    func reads(text: String, value: JSONValue) throws {
        #expect(try JSONParser.parse(text.utf8.span) == value)
    }

    @Test(
        "refuses everything else, and says where",
        arguments: [
            ("", .empty, 0), ("  ", .empty, 2), ("nul", .truncated, 3), ("nulL", .unexpected, 3),
            ("True", .unexpected, 0), ("NaN", .unexpected, 0), ("Infinity", .unexpected, 0),
            ("'a'", .unexpected, 0), ("\u{feff}1", .unexpected, 0), ("\u{a0}1", .unexpected, 0),
            ("1 2", .trailing, 2), ("{}x", .trailing, 2), ("{}\0", .trailing, 2),
            ("// no\n1", .unexpected, 0),
            ("01", .number, 0), ("-", .number, 0), ("+1", .unexpected, 0), (".5", .unexpected, 0),
            ("1.", .number, 0), ("1.e1", .number, 0), ("1e", .number, 0), ("1e+", .number, 0),
            ("0x1", .trailing, 1), ("1_0", .trailing, 1), ("-01", .number, 0),
            ("[", .truncated, 1), ("[1", .truncated, 2), ("[1,", .truncated, 3),
            ("[1,]", .unexpected, 3), ("[,1]", .unexpected, 1), ("[1 2]", .unexpected, 3),
            ("[1}", .unexpected, 2), ("]", .unexpected, 0),
            ("{", .truncated, 1), (#"{"a"}"#, .unexpected, 4), (#"{"a":1,}"#, .unexpected, 7),
            ("{a:1}", .unexpected, 1), ("{1:1}", .unexpected, 1), (#"{"a":}"#, .unexpected, 5),
            (#"{"a" 1}"#, .unexpected, 5), (#"{"a":1"#, .truncated, 6),
            (#"{"a":1,"a":2}"#, .duplicate, 7), (#"{"a":1,"\u0061":2}"#, .duplicate, 7),
            (#"{"x":{"é":1,"b":2,"\u00e9":1}}"#, .duplicate, 19),
            ("\"a", .truncated, 2), ("\"\\", .truncated, 1), ("\"\\u12", .truncated, 3),
            ("\"\n\"", .control, 1), ("\"\0\"", .control, 1), ("\"\t\"", .control, 1),
            (#""\a""#, .escape, 1), (#""\x41""#, .escape, 1), (#""\u12g4""#, .escape, 1),
            (#""\U0041""#, .escape, 1),
            (#""\ud800""#, .surrogate, 1), (#""\udc00""#, .surrogate, 1),
            (#""\ud800\ud800""#, .surrogate, 1), (#""\ud800x""#, .surrogate, 1),
            (#""\udc00\ud800""#, .surrogate, 1), (#""\ud83d\n""#, .surrogate, 1),
        ] as [(String, JSONParser.SyntaxError.Reason, Int)])
    func refuses(text: String, reason: JSONParser.SyntaxError.Reason, offset: Int) {
        let error = JSONParser.SyntaxError(reason: reason, offset: offset)
        #expect(throws: error) { try JSONParser.parse(text.utf8.span) }
    }

    @Test(
        "refuses bytes that are not UTF-8",
        arguments: [
            [0x80], [0xc3], [0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xed, 0xa0, 0x80],
            [0xf4, 0x90, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xff], [0xfe],
            [0xe2, 0x82], [0xc3, 0x28],
        ] as [[UInt8]])
    func encoding(bytes: [UInt8]) {
        let text = [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
        let error = JSONParser.SyntaxError(reason: .encoding, offset: 0)
        #expect(throws: error) { try JSONParser.parse(text.span) }
        // An escape does not complete what is broken before it.
        let mended = [UInt8(ascii: "\"")] + bytes + Array(#"\u00a9""#.utf8)
        #expect(throws: error) { try JSONParser.parse(mended.span) }
    }

    @Test("goes 32 levels deep and no deeper", arguments: [("[", "]"), (#"{"a":"#, "}")])
    func depth(open: String, close: String) throws {
        let inner = open == "[" ? "" : "1"
        func nested(_ count: Int) -> String {
            String(repeating: open, count: count) + inner + String(repeating: close, count: count)
        }
        _ = try JSONParser.parse(nested(JSONParser.depthMax).utf8.span)
        let tooDeep = nested(JSONParser.depthMax + 1)
        let offset = open.utf8.count * JSONParser.depthMax
        #expect(throws: JSONParser.SyntaxError(reason: .depth, offset: offset)) {
            try JSONParser.parse(tooDeep.utf8.span)
        }
        let endless = String(repeating: open, count: 100_000)
        #expect(throws: JSONParser.SyntaxError(reason: .depth, offset: offset)) {
            try JSONParser.parse(endless.utf8.span)
        }
    }

    @Test("takes members in time that grows with their number alone")
    func manyMembers() throws {
        let text = "{" + (0..<20_000).map { "\"\($0)\":0" }.joined(separator: ",") + "}"
        let value = try JSONParser.parse(text.utf8.span)
        #expect(value["19999"] == .integer(0))
        #expect(value["20000"] == nil)
    }

    @Test("knows names and strings by their bytes: U+212A is not the letter K")
    func bytesCount() throws {
        let value = try JSONParser.parse("{\"\u{212a}\":\"\u{212a}\"}".utf8.span)
        #expect(value["K"] == nil)
        #expect(value["\u{212a}"] != .string("K"))
        #expect(value["\u{212a}"] == .string("\u{212a}"))
    }

    @Test("reads what was written, and not one prefix of it")
    func roundTrip() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        for round in 0..<300 {
            let value = random.value(depth: 4)
            let bytes = JSONValue.array([value]).bytes
            let read = try? JSONParser.parse(bytes.span)
            #expect(read == .array([value]), "seed \(seed), round \(round)")
            let end = Int.random(in: 0..<bytes.count, using: &random)
            #expect(throws: JSONParser.SyntaxError.self, "seed \(seed), round \(round), \(end)") {
                try JSONParser.parse(bytes.span.extracting(..<end))
            }
        }
    }

    @Test("ends for any bytes, and what it takes it takes again when written")
    func mutations() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        for round in 0..<3_000 {
            var bytes = random.value(depth: 3).bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { random.mutate(&bytes) }
            guard let value = try? JSONParser.parse(bytes.span) else { continue }
            let again = try? JSONParser.parse(value.bytes.span)
            #expect(again == value, "seed \(seed), round \(round)")
        }
    }
}

extension SplitMix {
    mutating func value(depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &self) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2: return .integer(Int64.random(in: -Int64.max...Int64.max, using: &self))
        case 3: return .number("\(Int.random(in: 0...99, using: &self)).5e1")
        case 4: return .string(text())
        case 5:
            return .array(
                (0..<Int.random(in: 0...4, using: &self)).map { _ in
                    value(depth: depth - 1)
                })
        default:
            return .object(
                (0..<Int.random(in: 0...4, using: &self)).map { index in
                    JSONValue.Member(name: "\(index)" + text(), value: value(depth: depth - 1))
                })
        }
    }

    private mutating func text() -> String {
        let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "\0", "\n", "\u{e9}", "\u{1f600}", "/"]
        var text = ""
        for _ in 0..<Int.random(in: 0...6, using: &self) {
            text.unicodeScalars.append(scalars[Int.random(in: 0..<8, using: &self)])
        }
        return text
    }

    mutating func mutate(_ bytes: inout [UInt8]) {
        let position = Int.random(in: 0...bytes.count, using: &self)
        let piece = [UInt8](#"{}[]",:\u-e.09tn"#.utf8).randomElement(using: &self) ?? 0
        switch Int.random(in: 0..<4, using: &self) {
        case 0 where position < bytes.count:
            bytes[position] = UInt8.random(in: 0...255, using: &self)
        case 1 where position < bytes.count: bytes.remove(at: position)
        case 2: bytes.removeSubrange(position...)
        default: bytes.insert(piece, at: position)
        }
    }
}
