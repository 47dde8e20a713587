/// A response of a DNS server (RFC 1035, section 4; SRV: RFC 2782): what was asked, and the answer
/// section as far as it says where a name leads. Other sections are nobody's business here.
///
/// Whole or not at all: a message that ends early, or in which anything does not add up, is none. A
/// name's compression pointers may only lead back, each further than the one before, so that none
/// can go round in circles; names, records and bytes are bounded.
public struct DNSMessage: Equatable, Sendable {
    /// As TCP's length field allows.
    public static let bytesMax = 65_535
    /// Of the answer section. A host address takes 16 bytes at least: a message has fewer than
    /// this of those.
    public static let recordsMax = 4_096
    /// What a chain of aliases may have.
    public static let aliasesMax = 16

    public enum Content: Equatable, Sendable {
        case ipv4(UInt32)
        case ipv6(high: UInt64, low: UInt64)
        case alias(DNSName)
        case service(Service)
    }

    /// Where a service is.
    public struct Service: Equatable, Sendable {
        public let priority: UInt16
        public let weight: UInt16
        public let port: UInt16
        /// The root: the service is decidedly not there.
        public let target: DNSName
    }

    public struct Record: Equatable, Sendable {
        public let owner: DNSName
        /// Seconds. One with its highest bit set counts as 0 (RFC 2181, section 8).
        public let ttl: UInt32
        public let content: Content
    }

    public enum ParseError: Error, Equatable {
        case tooLarge
        /// It ends before it should.
        case cutShort
        case malformed
        /// A question, not a response.
        case noResponse
        case tooManyRecords
    }

    /// 0 is no error, 2 a failure of the server, 3 a name that does not exist.
    public let code: UInt8
    /// The server had more to say than fits this message.
    public let isTruncated: Bool
    public let question: DNSName
    public let records: [Record]

    public init(parsing bytes: [UInt8]) throws(ParseError) {
        guard bytes.count <= Self.bytesMax else { throw .tooLarge }
        var reader = DNSReader(bytes)
        _ = try reader.number(2, 0)
        let flags = try reader.number(2, 2)
        guard flags & 0x8000 != 0 else { throw .noResponse }
        let (questions, answers) = (try reader.number(2, 4), try reader.number(2, 6))
        guard questions == 1 else { throw .malformed }
        guard answers <= Self.recordsMax else { throw .tooManyRecords }
        reader.position = 12
        guard bytes.count >= 12 else { throw .cutShort }
        code = UInt8(flags & 0xf)
        isTruncated = flags & 0x0200 != 0
        question = try reader.name()
        try reader.skip(4)
        var records: [Record] = []
        for _ in 0..<answers {
            if let record = try reader.record() { records.append(record) }
        }
        self.records = records
    }

    /// What the name that was asked for leads to, through aliases: records whose owner is on the
    /// way, and the shortest time that any of them, aliases included, may be kept.
    public var answer: (contents: [Content], ttl: UInt32) {
        var owners = [question]
        var ttl = UInt32.max
        while let alias = alias(of: owners[owners.count - 1]), owners.count <= Self.aliasesMax,
            !owners.contains(alias.target)
        {
            owners.append(alias.target)
            ttl = min(ttl, alias.ttl)
        }
        var contents: [Content] = []
        for record in records where owners.contains(record.owner) {
            if case .alias = record.content { continue }
            contents.append(record.content)
            ttl = min(ttl, record.ttl)
        }
        return (contents, ttl)
    }

    private func alias(of name: DNSName) -> (target: DNSName, ttl: UInt32)? {
        for record in records where record.owner == name {
            if case .alias(let target) = record.content { return (target, record.ttl) }
        }
        return nil
    }
}

/// Reads a message from its beginning on.
private struct DNSReader {
    private let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// So many octets as a number, the highest first.
    func number(_ count: Int, _ start: Int) throws(DNSMessage.ParseError) -> UInt64 {
        guard count <= bytes.count, start <= bytes.count - count else { throw .cutShort }
        var number: UInt64 = 0
        for index in start..<(start + count) { number = number << 8 | UInt64(bytes[index]) }
        return number
    }

    mutating func skip(_ count: Int) throws(DNSMessage.ParseError) {
        guard count <= bytes.count - position else { throw .cutShort }
        position += count
    }

    /// RFC 1035, 4.1.4.
    mutating func name() throws(DNSMessage.ParseError) -> DNSName {
        var name = DNSName()
        var index = position
        /// Where the part began that is being read: pointers lead to before it.
        var start = position
        var end: Int?
        while true {
            let length = Int(try number(1, index))
            switch length >> 6 {
            case 0 where length == 0:
                position = end ?? index + 1
                return name
            case 0:
                guard length <= bytes.count - index - 1 else { throw .cutShort }
                guard name.append(bytes[(index + 1)...(index + length)]) else { throw .malformed }
                index += 1 + length
            case 3:
                let target = Int(try number(2, index) & 0x3fff)
                guard target < start else { throw .malformed }
                end = end ?? index + 2
                index = target
                start = target
            // RFC 6891, section 5: the others are not in use.
            default: throw .malformed
            }
        }
    }

    /// Nil for a record that says nothing of interest.
    mutating func record() throws(DNSMessage.ParseError) -> DNSMessage.Record? {
        let owner = try name()
        let (type, family) = (try number(2, position), try number(2, position + 2))
        let ttl = try number(4, position + 4)
        let length = Int(try number(2, position + 8))
        try skip(10)
        let data = position
        try skip(length)
        let end = position
        guard family == 1, let content = try content(type, data, length) else {
            position = end
            return nil
        }
        position = end
        let seconds = ttl > UInt64(Int32.max) ? 0 : UInt32(ttl)
        return DNSMessage.Record(owner: owner, ttl: seconds, content: content)
    }

    private mutating func content(
        _ type: UInt64, _ start: Int, _ length: Int
    ) throws(DNSMessage.ParseError) -> DNSMessage.Content? {
        switch type {
        case 1:
            guard length == 4 else { throw .malformed }
            return .ipv4(UInt32(try number(4, start)))
        case 28:
            guard length == 16 else { throw .malformed }
            return .ipv6(high: try number(8, start), low: try number(8, start + 8))
        case 5: return .alias(try name(from: start, to: start + length))
        case 33:
            guard length > 6 else { throw .malformed }
            return .service(
                DNSMessage.Service(
                    priority: UInt16(try number(2, start)),
                    weight: UInt16(try number(2, start + 2)),
                    port: UInt16(try number(2, start + 4)),
                    target: try name(from: start + 6, to: start + length)))
        default: return nil
        }
    }

    /// One that fills a record's data.
    private mutating func name(from start: Int, to end: Int) throws(DNSMessage.ParseError)
        -> DNSName
    {
        position = start
        let name = try name()
        guard position == end else { throw .malformed }
        return name
    }
}
