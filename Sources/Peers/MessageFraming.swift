/// gRPC's frames of messages within a body: a flag byte, four bytes of length, the message.
public enum MessageFraming {
    /// A message longer than 4 GiB cannot be framed and is cut there.
    public static func frame(_ message: some Collection<UInt8>) -> [UInt8] {
        let length = UInt32(clamping: message.count)
        var bytes: [UInt8] = [0]
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
        bytes.append(contentsOf: message.prefix(Int(length)))
        return bytes
    }

    /// Takes whole messages off the front of `bytes` and leaves the beginning of the next.
    public static func takeMessages(_ bytes: inout [UInt8]) -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var start = 0
        while bytes.count - start >= 5 {
            let length = bytes[start + 1...start + 4].reduce(0) { $0 << 8 | Int($1) }
            guard bytes.count - start - 5 >= length else { break }
            messages.append(Array(bytes[start + 5..<start + 5 + length]))
            start += 5 + length
        }
        bytes.removeFirst(start)
        return messages
    }
}
