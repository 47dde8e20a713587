internal import Wire

/// What is read of a DNS server's message is read the same twice and keeps to its bounds; no answer
/// is more than the message has, or kept for ever; names read back from their text.
enum DNSProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        if let name = DNSName(parsing: String(decoding: bytes.prefix(300), as: UTF8.self)) {
            if let fault = fault(name) { return fault }
            guard name.text != nil else { return "a name that was read has no text" }
        }
        guard let message = try? DNSMessage(parsing: bytes) else { return nil }
        guard (try? DNSMessage(parsing: bytes)) == message else { return "is read in two ways" }
        guard message.records.count <= DNSMessage.recordsMax else { return "has too many records" }
        for record in message.records {
            if let fault = fault(record.owner) { return fault }
            switch record.content {
            case .ipv4, .ipv6: break
            case .alias(let target): if let fault = fault(target) { return fault }
            case .service(let service): if let fault = fault(service.target) { return fault }
            }
        }
        let (contents, ttl) = message.answer
        guard contents.count <= message.records.count else { return "answers more than it has" }
        guard contents.isEmpty || ttl <= UInt32(Int32.max) else { return "is kept for ever" }
        return nil
    }

    private static func fault(_ name: DNSName) -> String? {
        guard name.bytes.count <= DNSName.bytesMax else { return "a name is too long" }
        guard let text = name.text else { return nil }
        return DNSName(parsing: text) == name ? nil : "a name does not read back"
    }
}
