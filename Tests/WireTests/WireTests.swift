import Testing

@testable import Wire

/// Cases about numbers and texts that no file of their own is worth.
@Suite struct WireTests {
    @Test(
        "content-length is digits and nothing else",
        arguments: [
            ("0", 0), ("1", 1), ("00012", 12), ("9223372036854775807", Int64.max),
            ("9223372036854775808", nil), ("99999999999999999999", nil), ("", nil), ("-1", nil),
            ("+1", nil), ("1,1", nil), ("1 ", nil), (" 1", nil), ("0x1", nil), ("1.0", nil),
        ] as [(String, Int64?)])
    func contentLength(text: String, length: Int64?) {
        let found = ContentLength.parse(text.utf8.span)
        #expect(found == length)
    }

    @Test(
        "content-type is gRPC's only if the name ends there",
        arguments: [
            ("application/grpc", true), ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true), ("Application/GRPC", false),
            ("application/grpc+", true), ("application/grpc-web", false),
            ("application/grpc-web+proto", false), ("application/grp", false), ("", false),
            ("application/json", false), (" application/grpc", false),
            ("application\u{f}grpc", false), ("application/grpcx", false),
            ("text/plain;application/grpc", false),
        ])
    func contentType(text: String, isGRPC: Bool) {
        let found = ContentType.isGRPC(text.utf8.span)
        #expect(found == isGRPC)
    }

    @Test(
        "grpc-message encodes all but printable ASCII",
        arguments: [
            ("not found", "not found"), ("100%", "100%25"), ("a\r\nb", "a%0D%0Ab"),
            ("é", "%C3%A9"), (" x ", "%20x%20"), ("", ""), ("~\u{7f}", "~%7F"), (" ", "%20"),
        ])
    func percentEncoding(message: String, encoded: String) {
        var output: [UInt8] = []
        PercentCoding.encode(message.utf8.span, into: &output)
        #expect(String(decoding: output, as: UTF8.self) == encoded)
        var decoded: [UInt8] = []
        PercentCoding.decode(output.span, into: &decoded)
        #expect(String(decoding: decoded, as: UTF8.self) == message)
    }

    @Test(
        "decoding a grpc-message never fails",
        arguments: [
            ("100%", "100%"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%%41", "%A"),
            ("%41%", "A%"), ("%e2%82%ac", "€"),
        ])
    func percentDecoding(value: String, message: String) {
        var decoded: [UInt8] = []
        PercentCoding.decode(value.utf8.span, into: &decoded)
        #expect(String(decoding: decoded, as: UTF8.self) == message)
    }

    @Test(
        "base64 is written without padding and read with or without",
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"), ("\u{3f}\u{7e}?>", "P34/Pg"),
        ])
    func base64(plain: String, encoded: String) {
        var output: [UInt8] = []
        Base64.encode(plain.utf8.span, into: &output)
        #expect(String(decoding: output, as: UTF8.self) == encoded)
        let padding = String(repeating: "=", count: (4 - encoded.count % 4) % 4)
        for text in [encoded, encoded + padding] {
            var decoded: [UInt8] = []
            let found = Base64.decode(text.utf8.span, into: &decoded)
            #expect(found)
            #expect(String(decoding: decoded, as: UTF8.self) == plain)
        }
    }

    @Test(
        "bad base64 leaves the output as it was",
        arguments: ["A", "AAAAA", "Zg=", "=", "====", "Zg==Zg==", "Z-_g", "Z g=", "Zm9v\n"])
    func badBase64(text: String) {
        var output: [UInt8] = [1, 2]
        let found = Base64.decode(text.utf8.span, into: &output)
        #expect(!found)
        #expect(output == [1, 2])
    }

    @Test("the byte sets hold what their names say")
    func byteSets() {
        let letters = (0..<256).map { UInt8($0) }.filter {
            UnicodeScalar($0).properties.isAlphabetic
        }
        .filter { $0 < 0x80 }
        let digits = Array("0123456789".utf8)
        let printable = (0x21...0x7e).map { UInt8($0) }
        let sets: [(ByteSet, [UInt8])] = [
            (.nameStart, letters + Array("_".utf8)),
            (.name, letters + digits + Array("_".utf8)),
            (.dottedName, letters + digits + Array("_.".utf8)),
            (.unreserved, letters + digits + Array("-._~".utf8)),
            (.plainQuery, printable.filter { !"#%".utf8.contains($0) }),
            (.plainPath, printable.filter { !"#%./;?\\".utf8.contains($0) }),
        ]
        for (set, members) in sets {
            for byte in 0...UInt8.max { #expect(set.contains(byte) == members.contains(byte)) }
        }
    }
}
