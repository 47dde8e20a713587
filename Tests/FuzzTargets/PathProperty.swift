internal import Wire

/// A path that is accepted is one that nobody would normalise: every rewriting that servers are
/// known to do leaves it as it is. What is said to be gRPC's has gRPC's form, and nothing else has.
enum PathProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        let verdict = RequestPath.check(bytes.span)
        let serviceEnd = serviceEnd(bytes)
        switch verdict {
        case .grpc(let end):
            guard end == serviceEnd else { return "is taken for a gRPC path" }
        case .plain where serviceEnd != nil, .refused where serviceEnd != nil:
            return "a gRPC path is not taken for one"
        case .refused(let refusal):
            return "\(refusal.words)".isEmpty ? "is refused without words" : nil
        case .plain: break
        }
        guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return "is not visible ASCII"
        }
        let path = Array(bytes.prefix { $0 != UInt8(ascii: "?") })
        if bytes.contains(UInt8(ascii: "#")) { return "has a fragment" }
        if path.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: ";") }) {
            return "has a backslash or a semicolon"
        }
        guard let decoded = decoded(path) else { return "has a % without two digits" }
        let slash = UInt8(ascii: "/")
        guard decoded.count(where: { $0 == slash }) == path.count(where: { $0 == slash }),
            !decoded.contains(UInt8(ascii: "\\")), !decoded.contains(0)
        else { return "hides a slash, a backslash or a NUL" }
        return normalised(path) == path ? nil : "is normalised by others"
    }

    /// gRPC over HTTP2, "Requests": the second slash of `/Service/Method`.
    private static func serviceEnd(_ bytes: [UInt8]) -> Int? {
        let parts = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].isEmpty else { return nil }
        guard isName(parts[1], dots: true), isName(parts[2], dots: false) else { return nil }
        return parts[1].count + 1
    }

    private static func isName(_ bytes: ArraySlice<UInt8>, dots: Bool) -> Bool {
        guard let first = bytes.first, isLetter(first) else { return false }
        return bytes.allSatisfy {
            isLetter($0) || isDigit($0) || (dots && $0 == UInt8(ascii: "."))
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// All percents, as a careless server reads them.
    private static func decoded(_ path: [UInt8]) -> [UInt8]? {
        var output: [UInt8] = []
        var index = 0
        while index < path.count {
            if path[index] == UInt8(ascii: "%") {
                let digits = path.dropFirst(index + 1).prefix(2)
                guard digits.count == 2, digits.allSatisfy({ $0 != UInt8(ascii: "+") }),
                    let byte = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
                else { return nil }
                output.append(byte)
                index += 3
            } else {
                output.append(path[index])
                index += 1
            }
        }
        return output
    }

    /// RFC 3986, 6.2.2 and 5.2.4, and slashes merged.
    private static func normalised(_ path: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        var index = 0
        while index < path.count {
            let triple = Array(path[index..<min(index + 3, path.count)])
            if triple[0] == UInt8(ascii: "%"), let byte = decoded(triple)?.first,
                isLetter(byte) || isDigit(byte) || "-.~".utf8.contains(byte)
            {
                text.append(byte)
                index += 3
            } else {
                text.append(path[index])
                index += 1
            }
        }
        var segments: [ArraySlice<UInt8>] = []
        let parts = text.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (place, part) in parts.enumerated() {
            let isLast = place == parts.count - 1
            if part.elementsEqual("..".utf8) {
                if segments.count > 1 { segments.removeLast() }
            } else if !part.elementsEqual(".".utf8), !part.isEmpty || place == 0 || isLast {
                segments.append(part)
            }
        }
        return Array(segments.joined(separator: [UInt8(ascii: "/")]))
    }
}
