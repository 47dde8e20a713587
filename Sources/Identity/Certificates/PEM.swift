internal import Wire

/// Textual encoding of certificates, lists and keys (RFC 7468): blocks of base64 between two lines
/// that name what is in them. Text outside of blocks is explanation.
public enum PEM {
    /// Of all that one file may hold.
    public static let bytesMax = 16 << 20
    /// Blocks in one file.
    public static let blocksMax = 4_096

    public struct Block: Hashable, Sendable {
        public let label: String
        public let bytes: [UInt8]

        public init(label: String, bytes: [UInt8]) {
            self.label = label
            self.bytes = bytes
        }
    }

    public static func blocks(in text: [UInt8]) throws(CertificateError) -> [Block] {
        guard text.count <= bytesMax else {
            throw .unreadable("more than the \(bytesMax) bytes that PEM may have")
        }
        var blocks: [Block] = []
        var label: String?
        var body: [UInt8] = []
        for line in text.split(whereSeparator: { $0 == newline || $0 == carriageReturn }) {
            if let open = label {
                if let end = boundary(line, "-----END ") {
                    guard end == open else {
                        throw .unreadable("a block begins as \(open) and ends as \(end)")
                    }
                    blocks.append(Block(label: open, bytes: try decode(body, label: open)))
                    label = nil
                    body = []
                } else {
                    body.append(contentsOf: line)
                }
            } else if let begin = boundary(line, "-----BEGIN ") {
                guard blocks.count < blocksMax else {
                    throw .unreadable("more than \(blocksMax) blocks in one file")
                }
                label = begin
            }
        }
        if let label { throw .unreadable("its last block, \(label), has no end") }
        return blocks
    }

    public static func text(_ blocks: [Block]) -> [UInt8] {
        var text: [UInt8] = []
        for block in blocks {
            var body: [UInt8] = []
            Base64.encode(block.bytes.span, into: &body)
            while body.count % 4 != 0 { body.append(UInt8(ascii: "=")) }
            text += Array("-----BEGIN \(block.label)-----\n".utf8)
            for start in stride(from: 0, to: body.count, by: lineBytes) {
                text += body[start..<min(start + lineBytes, body.count)]
                text.append(newline)
            }
            text += Array("-----END \(block.label)-----\n".utf8)
        }
        return text
    }

    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    /// RFC 7468, 2.
    private static let lineBytes = 64
    private static let labelBytesMax = 64

    /// The label of a line that begins or ends a block.
    private static func boundary(_ line: ArraySlice<UInt8>, _ start: String) -> String? {
        var line = line
        while let last = line.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            line.removeLast()
        }
        let end = Array("-----".utf8)
        guard line.count <= start.utf8.count + labelBytesMax + end.count,
            line.starts(with: start.utf8), line.dropFirst(start.utf8.count).count >= end.count,
            line.suffix(end.count).elementsEqual(end)
        else { return nil }
        let label = line.dropFirst(start.utf8.count).dropLast(end.count)
        guard label.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return nil }
        return String(decoding: label, as: UTF8.self)
    }

    private static func decode(
        _ body: [UInt8], label: String
    ) throws(CertificateError) -> [UInt8] {
        // The headers of RFC 1421 are written for encrypted keys only.
        if body.contains(UInt8(ascii: ":")) {
            throw .unreadable("\(label) has headers: encrypted keys are not read")
        }
        let text = body.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        var bytes: [UInt8] = []
        guard text.count % 4 == 0, Base64.decode(text.span, into: &bytes), !bytes.isEmpty else {
            throw .unreadable("\(label) is not base64")
        }
        return bytes
    }
}
